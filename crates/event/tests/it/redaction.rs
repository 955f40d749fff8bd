//! Every cell of the table of redaction algorithms, in every room version, for text and for trees.

use freehold_canonical_json::{Limits, parse as parse_json};
use freehold_event::{Pdu, RoomVersion, redact};
use serde_json::{Value, json};

use crate::fixture::{message, parse};

/// Which room versions keep a member: one letter each, 1 to 12.
type Row = (&'static str, &'static str);

const ALL: &str = "yyyyyyyyyyyy";
const NONE: &str = "............";
const BEFORE_6: &str = "yyyyy.......";
const BEFORE_11: &str = "yyyyyyyyyy..";
const FROM_8: &str = ".......yyyyy";
const FROM_9: &str = "........yyyy";
const FROM_11: &str = "..........yy";

const TOP_LEVEL: &[Row] = &[
    ("auth_events", ALL),
    ("content", ALL),
    ("depth", ALL),
    ("event_id", ALL),
    ("hashes", ALL),
    ("membership", BEFORE_11),
    ("origin", BEFORE_11),
    ("origin_server_ts", ALL),
    ("prev_events", ALL),
    ("prev_state", BEFORE_11),
    ("redacts", NONE),
    ("room_id", ALL),
    ("sender", ALL),
    ("signatures", ALL),
    ("state_key", ALL),
    ("type", ALL),
    ("unsigned", NONE),
    ("org.example.extra", NONE),
    ("Type", NONE),
];

const CONTENT: &[(&str, &[Row])] = &[
    (
        "m.room.member",
        &[
            ("membership", ALL),
            ("join_authorised_via_users_server", FROM_9),
            ("displayname", NONE),
            ("reason", NONE),
            ("third_party_invite.x", NONE),
        ],
    ),
    ("m.room.create", &[("creator", ALL), ("m.federate", FROM_11), ("room_version", FROM_11)]),
    ("m.room.join_rules", &[("join_rule", ALL), ("allow", FROM_8), ("other", NONE)]),
    (
        "m.room.power_levels",
        &[
            ("ban", ALL),
            ("events", ALL),
            ("events_default", ALL),
            ("invite", FROM_11),
            ("kick", ALL),
            ("notifications", NONE),
            ("redact", ALL),
            ("state_default", ALL),
            ("users", ALL),
            ("users_default", ALL),
        ],
    ),
    ("m.room.aliases", &[("aliases", BEFORE_6), ("other", NONE)]),
    ("m.room.history_visibility", &[("history_visibility", ALL), ("other", NONE)]),
    ("m.room.redaction", &[("redacts", FROM_11), ("reason", NONE)]),
    ("m.room.server_acl", &[("allow", NONE), ("deny", NONE)]),
    ("m.room.message", &[("body", NONE), ("membership", NONE), ("creator", NONE)]),
    ("", &[("membership", NONE), ("redacts", NONE)]),
];

/// The redacted copy of an event, made from its text and made from a tree.
fn redacted(event: &Value, version: &'static RoomVersion) -> Value {
    let pdu = parse(event, version).unwrap().redacted();
    let text = event.to_string();
    let tree = parse_json(text.as_bytes(), &Limits::RELAXED).unwrap();
    let tree = redact(tree.as_object().unwrap(), version);
    assert_eq!(pdu.canonical_json().as_bytes(), tree.to_canonical_vec(), "{version}");
    serde_json::from_str(pdu.canonical_json()).unwrap()
}

fn versions(row: &str) -> impl Iterator<Item = (&'static RoomVersion, bool)> {
    RoomVersion::ALL.iter().copied().zip(row.chars().map(|letter| letter == 'y'))
}

#[test]
fn top_level_members_are_kept_as_the_table_says() {
    for (key, row) in TOP_LEVEL {
        for (version, kept) in versions(row) {
            let mut event = message(version);
            if event.get(key).is_none() {
                let id = "$event:example.org";
                event[key] = if *key == "event_id" { json!(id) } else { json!("@value:b") };
            }
            let after = redacted(&event, version);
            assert_eq!(after.get(key).is_some(), kept, "{key} in {version}");
            if kept && *key != "content" {
                assert_eq!(after[key], event[key], "{key} in {version}");
            }
        }
    }
}

#[test]
fn members_of_content_are_kept_as_the_table_says() {
    for (event_type, rows) in CONTENT {
        for (key, row) in *rows {
            for (version, kept) in versions(row) {
                let mut event = message(version);
                event["type"] = json!(event_type);
                event["content"] = json!({"org.example.extra": 1, (*key): {"a": [1, "\""]}});
                let after = redacted(&event, version);
                let mut expected = json!({});
                if kept {
                    expected[key] = event["content"][key].clone();
                }
                if *event_type == "m.room.create" && FROM_11_CREATE.contains(&version.id()) {
                    expected = event["content"].clone();
                }
                assert_eq!(after["content"], expected, "{key} of {event_type} in {version}");
            }
        }
    }
}

/// The room versions in which a create event keeps everything.
const FROM_11_CREATE: [&str; 2] = ["11", "12"];

#[test]
fn of_a_third_party_invite_only_signed_is_kept_and_only_from_version_11_on() {
    for (invite, left) in [
        (json!({"display_name": "b", "signed": {"token": "t"}, "z": 1}), json!({"signed": {"token": "t"}})),
        (json!({"signed": 7}), json!({"signed": 7})),
        (json!({"display_name": "b"}), json!({})),
    ] {
        for (version, kept) in versions(FROM_11) {
            let mut event = message(version);
            event["type"] = json!("m.room.member");
            event["content"] = json!({"membership": "invite", "third_party_invite": invite});
            let mut expected = json!({"membership": "invite"});
            if kept {
                expected["third_party_invite"] = left.clone();
            }
            assert_eq!(redacted(&event, version)["content"], expected, "{version}");
        }
    }
}

#[test]
fn a_third_party_invite_that_is_no_object_has_no_signed_key_to_keep() {
    for invite in [json!(null), json!("signed"), json!(["signed"])] {
        let mut event = message(RoomVersion::V11);
        event["type"] = json!("m.room.member");
        event["content"] = json!({"membership": "invite", "third_party_invite": invite});
        let after = redacted(&event, RoomVersion::V11);
        assert_eq!(after["content"], json!({"membership": "invite"}));
    }
}

#[test]
fn redaction_changes_neither_the_event_id_nor_what_is_signed() {
    for version in RoomVersion::ALL {
        let mut event = message(version);
        event["org.example.extra"] = json!(1);
        let pdu = parse(&event, version).unwrap();
        let redacted = pdu.redacted();
        assert_ne!(pdu, redacted);
        assert_eq!(pdu.event_id(), redacted.event_id());
        assert_eq!(pdu.signed_bytes(), redacted.signed_bytes());
        assert_eq!(pdu.signatures(), redacted.signatures());
        assert_eq!(pdu.hashes(), redacted.hashes());
        assert_ne!(pdu.content_hash(), redacted.content_hash());
        assert_eq!(redacted.redacted(), redacted);
    }
}

#[test]
fn what_is_signed_is_the_redacted_event_without_signatures_and_unsigned() {
    let event = br#"{"unsigned":{"age":1},"type":"m.room.member","state_key":"@a:b","sender":"@a:b",
        "signatures":{"b":{"ed25519:1":"c2ln"}},"room_id":"!r:b","prev_events":[],"depth":1,
        "origin_server_ts":2,"hashes":{"sha256":"aGFzaA"},"auth_events":[],"origin":"b",
        "content":{"membership":"join","displayname":"A"},"extra":[]}"#;
    let pdu = Pdu::parse(event, RoomVersion::V11).unwrap();
    let expected = concat!(
        r#"{"auth_events":[],"content":{"membership":"join"},"depth":1,"hashes":{"sha256":"aGFzaA"},"#,
        r#""origin_server_ts":2,"prev_events":[],"room_id":"!r:b","sender":"@a:b","state_key":"@a:b","#,
        r#""type":"m.room.member"}"#
    );
    assert_eq!(std::str::from_utf8(pdu.signed_bytes()).unwrap(), expected);
    let pdu = Pdu::parse(event, RoomVersion::V10).unwrap();
    let expected = expected.replace(r#","origin_server_ts""#, r#","origin":"b","origin_server_ts""#);
    assert_eq!(std::str::from_utf8(pdu.signed_bytes()).unwrap(), expected);
}
