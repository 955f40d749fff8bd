//! PDUs as they travel: a message of 1.5 KB, a membership of 0.8 KB, and two of 60 KB.

use serde_json::{Map, Value, json};

/// A message event of about 1.5 KB, canonical.
pub(crate) fn message() -> Value {
    let body = "It was the best of times, it was the worst of times, it was the age of wisdom. ".repeat(4);
    event(
        "m.room.message",
        None,
        json!({
            "body": body, "msgtype": "m.text", "format": "org.matrix.custom.html",
            "formatted_body": format!("<p>{body}</p>"),
            "m.mentions": {"user_ids": ["@alice:example.org", "@bob:example.com"]},
            "m.relates_to": {"m.in_reply_to": {"event_id": "$BcXsu3y6vCnKTzBF3GI0gyQnTi3b5h0v1bcVBdSgJNY"}},
        }),
    )
}

/// A membership event of about 0.8 KB, canonical.
pub(crate) fn member() -> Value {
    event(
        "m.room.member",
        Some("@alice:example.org"),
        json!({
            "avatar_url": "mxc://example.org/SEsfnsuifSDFSSEF", "displayname": "Alice Margatroid",
            "membership": "join",
        }),
    )
}

/// An event of 60 KB, nearly all of it in one string.
pub(crate) fn long_string() -> Value {
    event("m.room.message", None, json!({"body": "All work and no play. ".repeat(2700), "msgtype": "m.text"}))
}

/// An event of 60 KB with many keys, like power levels of a large room.
pub(crate) fn many_keys() -> Value {
    let users: Map<String, Value> = (0..2120)
        .map(|number| (format!("@user-{:04}:example.org", number * 7919 % 10_000), json!(number % 100)))
        .collect();
    event("m.room.power_levels", Some(""), json!({"ban": 50, "users": users, "users_default": 0}))
}

fn event(event_type: &str, state_key: Option<&str>, content: Value) -> Value {
    let mut event = json!({
        "auth_events": [
            "$urlS0d3AjoJfLNdBVvHdDDEcyYqjZ3b9BHFH5rqKJgE", "$ctsIkMnqVfCEJDHiQzIgMbbtLMJCw8bWDdkuIKwSmXI",
            "$yB9FPGAHfrUFUl4VQcBCDAmUEpbhiSkCWHAj6yvXEpM",
        ],
        "content": content,
        "depth": 12_345,
        "hashes": {"sha256": "thishashcoversallfieldsincasethisisredacted1"},
        "origin_server_ts": 1_404_838_188_000_u64,
        "prev_events": ["$JDxkXCFxqsAVcnBpXaYnPKqoTy6FDnDLAjxcsWlO5Zc"],
        "room_id": "!UcYsUzyxTGDxLBEvLz:example.org",
        "sender": "@alice:example.org",
        "signatures": {"example.org": {"ed25519:key_version":
            "these86bytesofbase64signaturecoveressentialfieldsincludinghashessocancheckredactedpdus1"}},
        "type": event_type,
        "unsigned": {"age_ts": 1_404_838_188_010_u64},
    });
    if let Some(state_key) = state_key {
        event["state_key"] = json!(state_key);
    }
    event
}

/// Canonical text: serde_json's maps are sorted, and these events have only ASCII keys.
pub(crate) fn canonical(event: &Value) -> String {
    event.to_string()
}

/// The same event with the members of every object in an order that is not the canonical one.
pub(crate) fn shuffled(event: &Value) -> String {
    match event {
        Value::Object(members) => {
            let mut members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), shuffled(value)))
                .collect();
            let middle = members.len() / 2;
            members.rotate_left(middle);
            members.reverse();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(shuffled).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}
