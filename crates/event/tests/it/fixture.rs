//! Events to start a test from.

use freehold_event::{FormatError, Pdu, RoomVersion};
use ruma_common::room_version_rules::EventIdFormatVersion;
use serde_json::{Value, json};

/// A room id of the version, on `example.org` where it has a domain.
pub(crate) fn room_id(version: &RoomVersion) -> &'static str {
    if version.rules().authorization.room_create_event_id_as_room_id {
        "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    } else {
        "!room:example.org"
    }
}

/// A reference to the `n`th of some other events.
pub(crate) fn reference(version: &RoomVersion, n: usize) -> Value {
    match version.rules().event_id_format {
        EventIdFormatVersion::V1 => json!([format!("$other{n}:example.org"), {"sha256": "aGFzaA"}]),
        _ => json!(format!("${n:0>43}")),
    }
}

/// A message with every field that the room version has.
pub(crate) fn message(version: &RoomVersion) -> Value {
    let mut event = json!({
        "type": "m.room.message",
        "room_id": room_id(version),
        "sender": "@alice:example.org",
        "content": {"body": "hello", "msgtype": "m.text"},
        "origin_server_ts": 1_700_000_000_000_i64,
        "depth": 12,
        "prev_events": [reference(version, 1)],
        "auth_events": [reference(version, 2), reference(version, 3)],
        "hashes": {"sha256": "aGFzaA"},
        "signatures": {"example.org": {"ed25519:1": "c2ln"}},
        "unsigned": {"age": 1},
    });
    if version.rules().event_format.require_event_id {
        event["event_id"] = json!("$event:example.org");
    }
    event
}

/// A create event in the format of the room version.
pub(crate) fn create(version: &RoomVersion) -> Value {
    let mut event = message(version);
    event["type"] = json!("m.room.create");
    event["state_key"] = json!("");
    event["content"] = json!({"room_version": version.id(), "creator": "@alice:example.org"});
    event["prev_events"] = json!([]);
    event["auth_events"] = json!([]);
    if !version.rules().event_format.require_room_create_room_id {
        event.as_object_mut().unwrap().remove("room_id");
    }
    event
}

pub(crate) fn parse(event: &Value, version: &'static RoomVersion) -> Result<Pdu, FormatError> {
    Pdu::parse(event.to_string().as_bytes(), version)
}
