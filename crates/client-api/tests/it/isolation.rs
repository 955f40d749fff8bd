//! Strangers learn nothing about a tenant: whatever is done is asked about things that exist and about things that do not,
//! and the answers must be the same.
//!
//! The list of endpoints is the ledger; what is done there and missing here fails a test.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::ledger::{Ledger, State};
use crate::server::{ALICES, Answer, Ask, BOBS, Server};

/// The names of things in paths, queries and bodies: `{roomId}` is replaced by the id of a room.
type Ids = BTreeMap<&'static str, String>;

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum Asker {
    /// A user of another tenant.
    Stranger,
    /// Somebody without an access token, at the other tenant's host.
    Nobody,
    /// A user of the tenant, with the token, at the other tenant's host.
    WrongHost,
    /// The owner of everything that exists: the control, for whom answers must differ.
    Owner,
}

const STRANGERS: [Asker; 3] = [Asker::Stranger, Asker::Nobody, Asker::WrongHost];

const OWNER: &str = "@owner:alice.example";
const STRANGER: &str = "@stranger:bob.example";

impl Asker {
    fn ask(self, method: &str, path: &str) -> Ask {
        match self {
            Asker::Stranger => Ask::new(method, path).by(STRANGER),
            Asker::Nobody => Ask::new(method, path).to(BOBS),
            Asker::WrongHost => Ask::new(method, path).by(OWNER).to(BOBS),
            Asker::Owner => Ask::new(method, path).by(OWNER),
        }
    }
}

/// Paths with something of the stranger's own in them, where a stranger's request about others' would be refused too early.
const PATHS: &[(&str, &str)] = &[(
    "PUT /_matrix/client/v3/directory/room/{roomAlias}",
    "/_matrix/client/v3/directory/room/%23own%3Abob.example",
)];

/// Query strings without which an endpoint does not look further.
const QUERIES: &[(&str, &str)] = &[
    ("GET /_matrix/client/v3/rooms/{roomId}/messages", "dir=b"),
    ("GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event", "dir=f&ts=0"),
];

/// Bodies with which an endpoint goes about its work.
const BODIES: &[(&str, &str)] = &[
    ("POST /_matrix/client/v3/rooms/{roomId}/ban", r#"{"user_id":"{userId}"}"#),
    ("POST /_matrix/client/v3/rooms/{roomId}/unban", r#"{"user_id":"{userId}"}"#),
    ("POST /_matrix/client/v3/rooms/{roomId}/kick", r#"{"user_id":"{userId}"}"#),
    ("POST /_matrix/client/v3/rooms/{roomId}/invite", r#"{"user_id":"{userId}"}"#),
    ("POST /_matrix/client/v3/rooms/{roomId}/upgrade", r#"{"new_version":"11"}"#),
    ("PUT /_matrix/client/v3/directory/list/room/{roomId}", r#"{"visibility":"public"}"#),
    ("PUT /_matrix/client/v3/directory/room/{roomAlias}", r#"{"room_id":"{roomId}"}"#),
];

/// What strangers may know all the same, because every server of the federation may ask for it.
const PUBLIC: &[(&str, &str)] = &[(
    "GET /_matrix/client/v3/directory/room/{roomAlias}",
    "any server resolves an alias: https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory",
)];

/// Endpoints with nothing in their paths and bodies that could exist or not.
fn names_nothing(path: &str, body: &str) -> bool {
    !path.contains('{') && !body.contains("{roomId}") && !body.contains("{userId}")
}

fn looked_up(table: &[(&'static str, &'static str)], endpoint: &str) -> Option<&'static str> {
    table.iter().find(|(name, _)| *name == endpoint).map(|(_, value)| *value)
}

fn filled(template: &str, ids: &Ids, encode: impl Fn(&str) -> String) -> String {
    ids.iter().fold(template.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), &encode(id)))
}

fn percent_encoded(id: &str) -> String {
    id.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// An answer without what must differ: the ids that were asked for, and the values of a success.
fn seen(answer: &Answer, ids: &Ids) -> Value {
    let mut text = String::from_utf8_lossy(&answer.bytes).into_owned();
    for (name, id) in ids {
        text = text.replace(id, name);
    }
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    let body = if answer.status.is_success() { shape(&body) } else { body };
    json!({ "status": answer.status.as_u16(), "body": body })
}

/// Names and types.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), shape(member)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(shape).collect::<Vec<_>>().into(),
        Value::String(_) => "string".into(),
        Value::Number(_) => "number".into(),
        other => other.clone(),
    }
}

async fn answer(server: &Server, asker: Asker, endpoint: (&str, &str), ids: &Ids) -> Answer {
    let (method, path) = endpoint;
    let name = format!("{method} {path}");
    let mut target = filled(looked_up(PATHS, &name).unwrap_or(path), ids, percent_encoded);
    if let Some(query) = looked_up(QUERIES, &name) {
        target = format!("{target}?{}", filled(query, ids, percent_encoded));
    }
    let ask = asker.ask(method, &target);
    let body = looked_up(BODIES, &name).unwrap_or("{}");
    let ask = if method == "GET" { ask } else { ask.body(filled(body, ids, str::to_owned)) };
    server.send(ask).await
}

/// What exists, made by [`OWNER`], and what does not.
async fn things(server: &Server) -> (Ids, Ids) {
    let body = json!({"preset": "private_chat", "room_alias_name": "existing"});
    let created =
        server.send(Ask::new("POST", "/_matrix/client/v3/createRoom").by(OWNER).json(&body)).await.ok();
    let room_id = created["room_id"].as_str().unwrap().to_owned();
    let path = format!("/_matrix/client/v3/rooms/{room_id}/send/m.room.message/1");
    let body = json!({"msgtype": "m.text", "body": "secret"});
    let sent = server.send(Ask::new("PUT", &path).by(OWNER).json(&body)).await.ok();
    let existing = Ids::from([
        ("roomId", room_id.clone()),
        ("roomIdOrAlias", room_id.clone()),
        ("eventId", sent["event_id"].as_str().unwrap().to_owned()),
        ("roomAlias", format!("#existing:{ALICES}")),
        ("userId", OWNER.to_owned()),
        ("eventType", "m.room.name".to_owned()),
        ("stateKey", String::new()),
        ("txnId", "1".to_owned()),
        ("relType", "m.thread".to_owned()),
    ]);
    let mut missing = existing.clone();
    let missing_room: String = std::iter::once('!').chain(room_id.chars().skip(1).map(rotated)).collect();
    missing.insert("roomId", missing_room.clone());
    missing.insert("roomIdOrAlias", missing_room);
    let missing_event: String =
        std::iter::once('$').chain(existing["eventId"].chars().skip(1).map(rotated)).collect();
    missing.insert("eventId", missing_event);
    missing.insert("roomAlias", format!("#missings:{ALICES}"));
    missing.insert("userId", format!("@nobody:{ALICES}"));
    (existing, missing)
}

/// Another letter, so that an id is another one of the same length.
fn rotated(letter: char) -> char {
    match letter {
        'a'..='y' | 'A'..='Y' => char::from_u32(u32::from(letter) + 1).unwrap(),
        other => other,
    }
}

#[tokio::test]
async fn strangers_get_the_same_answer_about_what_exists_and_what_does_not() {
    let ledger = Ledger::read();
    let mut told = Vec::new();
    for (method, path, state) in ledger.entries() {
        let name = format!("{method} {path}");
        let body = looked_up(BODIES, &name).unwrap_or_default();
        if state != State::Done || names_nothing(path, body) || looked_up(PUBLIC, &name).is_some() {
            continue;
        }
        for asker in STRANGERS {
            let server = Server::start();
            let (existing, missing) = things(&server).await;
            let about_existing = answer(&server, asker, (method, path), &existing).await;
            let about_missing = answer(&server, asker, (method, path), &missing).await;
            assert_looked_further(&name, asker, &about_existing);
            let (one, other) = (seen(&about_existing, &existing), seen(&about_missing, &missing));
            if one != other {
                told.push(format!(
                    "{name} as {asker:?}: {one} about what exists, {other} about what does not"
                ));
            }
        }
    }
    assert!(told.is_empty(), "strangers can tell:\n{}", told.join("\n"));
}

/// A request that fails before it is looked at proves nothing.
fn assert_looked_further(name: &str, asker: Asker, answer: &Answer) {
    let (status, errcode) = answer.error();
    let early = [
        "M_BAD_JSON",
        "M_NOT_JSON",
        "M_MISSING_PARAM",
        "M_INVALID_PARAM",
        "M_UNRECOGNIZED",
        "M_MISSING_TOKEN",
        "M_UNKNOWN_TOKEN",
        "M_LIMIT_EXCEEDED",
    ];
    if matches!(asker, Asker::Stranger | Asker::Owner) {
        assert!(!early.contains(&errcode), "{name}: {errcode} before it is looked at: add a body or a query");
    }
    assert!(status < 500, "{name}: {}", String::from_utf8_lossy(&answer.bytes));
}

#[tokio::test]
async fn the_owner_is_told_what_exists_where_rooms_or_events_are_named() {
    let ledger = Ledger::read();
    let mut same = Vec::new();
    for (method, path, state) in ledger.entries() {
        let in_room = path.contains("/rooms/{roomId}/") && !path.contains("/user/");
        if state != State::Done || !in_room {
            continue;
        }
        let server = Server::start();
        let (existing, missing) = things(&server).await;
        let about_existing = answer(&server, Asker::Owner, (method, path), &existing).await;
        let about_missing = answer(&server, Asker::Owner, (method, path), &missing).await;
        assert_looked_further(&format!("{method} {path}"), Asker::Owner, &about_existing);
        if seen(&about_existing, &existing) == seen(&about_missing, &missing) {
            same.push(format!("{method} {path}"));
        }
    }
    assert!(
        same.is_empty(),
        "the owner cannot tell either, so the other test proves nothing about:\n{}",
        same.join("\n")
    );
}
