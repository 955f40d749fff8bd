//! Making new events and taking templates from other servers.

use freehold_canonical_json::Value as Json;
use freehold_event::{
    BuildError, ContentHashVerdict, EventReference, Field, FormatError, MAX_PDU_BYTES, MembershipTemplate,
    Pdu, ProtoEvent, RoomVersion,
};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

use crate::fixture::{message, parse, reference, room_id};

fn alice() -> OwnedUserId {
    OwnedUserId::try_from("@alice:example.org").unwrap()
}

/// A message as one would ask for it in a room of the version.
fn proto(version: &'static RoomVersion) -> ProtoEvent {
    let previous = EventReference::from(&parse(&message(version), version).unwrap());
    let mut proto = ProtoEvent::new(alice(), "m.room.message");
    proto.room_id = Some(OwnedRoomId::try_from(room_id(version)).unwrap());
    proto.content.insert("body", "hello");
    proto.origin_server_ts = 1_700_000_000_001;
    proto.depth = 13;
    proto.prev_events = vec![previous.clone()];
    proto.auth_events = vec![previous];
    if version.rules().event_format.require_event_id {
        proto.event_id = Some(OwnedEventId::try_from("$new:example.org").unwrap());
    }
    proto
}

#[test]
fn a_new_event_is_well_formed_and_intact_in_every_version() {
    for version in RoomVersion::ALL {
        let new = proto(version).build(version).unwrap();
        let id = new.pdu().event_id().to_owned();
        assert_eq!(new.pdu().signatures(), "{}");
        assert_eq!(new.signed_bytes(), new.pdu().signed_bytes());
        let signed = new.with_signature("example.org", "ed25519:1", "c2ln").unwrap();
        assert_eq!(signed.verdict(), ContentHashVerdict::Intact);
        assert_eq!(signed.pdu().signatures(), r#"{"example.org":{"ed25519:1":"c2ln"}}"#);
        assert_eq!(signed.pdu().event_id(), &id);

        let received = Pdu::parse(signed.pdu().canonical_json().as_bytes(), version).unwrap();
        assert_eq!(received.check_content_hash(), signed, "{version}");
    }
}

#[test]
fn signatures_of_several_servers_stand_side_by_side() {
    let new = proto(RoomVersion::V11).build(RoomVersion::V11).unwrap();
    let signed = new.with_signature("b.example", "ed25519:1", "b25l").unwrap();
    let signed = signed.with_signature("a.example", "ed25519:x", "dHdv").unwrap();
    let signed = signed.with_signature("b.example", "ed25519:0", "emVybw").unwrap();
    let signed = signed.with_signature("b.example", "ed25519:1", "bmV3").unwrap();
    let expected = json!({
        "a.example": {"ed25519:x": "dHdv"},
        "b.example": {"ed25519:0": "emVybw", "ed25519:1": "bmV3"},
    });
    assert_eq!(serde_json::from_str::<Value>(signed.pdu().signatures()).unwrap(), expected);
    assert_eq!(signed.into_pdu().check_content_hash().verdict(), ContentHashVerdict::Intact);
}

#[test]
fn a_redacted_event_stays_redacted_when_it_is_signed() {
    let event = parse(&message(RoomVersion::V11), RoomVersion::V11).unwrap();
    let hashed = event.check_content_hash();
    assert_eq!(hashed.verdict(), ContentHashVerdict::Redacted);
    let signed = hashed.with_signature("b.example", "ed25519:1", "c2ln").unwrap();
    assert_eq!(signed.verdict(), ContentHashVerdict::Redacted);
}

#[test]
fn a_signature_for_which_there_is_no_room_is_refused() {
    let new = |padding: usize| {
        let mut proto = proto(RoomVersion::V11);
        proto.content.insert("padding", "x".repeat(padding));
        proto.build(RoomVersion::V11)
    };
    let size = new(0).unwrap().pdu().canonical_json().len();
    let full = new(MAX_PDU_BYTES - size).unwrap();
    assert_eq!(full.pdu().canonical_json().len(), MAX_PDU_BYTES);
    let too_large = full.with_signature("b", "ed25519:1", "c2ln");
    assert!(matches!(too_large, Err(FormatError::TooLarge { .. })));
    let too_large = new(MAX_PDU_BYTES - size + 1);
    let bytes = MAX_PDU_BYTES + 1;
    assert_eq!(too_large, Err(BuildError::Format(FormatError::TooLarge { bytes })));
}

#[test]
fn references_carry_hashes_in_versions_1_and_2() {
    for version in [RoomVersion::V1, RoomVersion::V2] {
        let previous = parse(&message(version), version).unwrap();
        let hash = previous.reference_hash().to_base64();
        let expected = format!(r#"[["$event:example.org",{{"sha256":"{hash}"}}]]"#);
        let new = proto(version).build(version).unwrap();
        assert_eq!(new.pdu().member("prev_events").unwrap().text(), expected);

        let mut without = proto(version);
        let id = previous.event_id().to_owned();
        without.auth_events = vec![EventReference::from(id.clone())];
        assert_eq!(without.build(version), Err(BuildError::ReferenceHashMissing(id)));
    }
}

#[test]
fn an_event_id_is_given_exactly_where_it_is_not_computed() {
    for version in RoomVersion::ALL {
        let mut event = proto(version);
        let expected = match event.event_id.take() {
            Some(_) => BuildError::EventIdMissing,
            None => {
                event.event_id = Some(OwnedEventId::try_from("$new:example.org").unwrap());
                BuildError::EventIdGiven
            }
        };
        assert_eq!(event.build(version), Err(expected), "{version}");
    }
}

#[test]
fn a_create_event_of_version_12_has_no_room_id() {
    for version in RoomVersion::ALL {
        let mut create = proto(version);
        create.event_type = "m.room.create".to_owned();
        create.state_key = Some(String::new());
        let mut without = create.clone();
        without.room_id = None;
        if version.id() == "12" {
            assert_eq!(create.build(version), Err(BuildError::RoomIdGiven));
            let new = without.build(version).unwrap();
            assert!(new.pdu().member("room_id").is_none());
        } else {
            assert!(create.build(version).is_ok());
            let missing = BuildError::Format(FormatError::Missing(Field::RoomId));
            assert_eq!(without.build(version), Err(missing));
        }
    }
}

#[test]
fn redacts_goes_where_the_version_puts_it() {
    for version in RoomVersion::ALL {
        let mut redaction = proto(version);
        redaction.event_type = "m.room.redaction".to_owned();
        redaction.redacts = Some(OwnedEventId::try_from("$target:example.org").unwrap());
        let new = redaction.build(version).unwrap();
        let in_content = ["11", "12"].contains(&version.id());
        assert_eq!(new.pdu().redacts(), Some("$target:example.org"));
        assert_eq!(new.pdu().member("redacts").is_none(), in_content);
        assert_eq!(new.pdu().content().contains("redacts"), in_content);
    }
}

#[test]
fn depth_of_a_new_event_is_clamped() {
    for version in RoomVersion::ALL {
        let mut deep = proto(version);
        deep.depth = i64::MAX;
        assert_eq!(deep.build(version).unwrap().pdu().depth(), version.depth_max());
    }
}

#[test]
fn what_old_versions_tolerate_is_not_made_anew() {
    let mut long = proto(RoomVersion::V10);
    long.state_key = Some("é".repeat(128));
    assert_eq!(long.build(RoomVersion::V10), Err(BuildError::TooLong(Field::StateKey)));
}

#[test]
fn content_that_the_version_does_not_allow_is_refused() {
    let mut big = proto(RoomVersion::V6);
    big.content.insert("level", Json::Integer(1 << 53));
    assert!(matches!(big.build(RoomVersion::V6), Err(BuildError::Format(FormatError::Json(_)))));
}

fn template(version: &RoomVersion) -> Value {
    json!({
        "type": "m.room.member",
        "room_id": room_id(version),
        "sender": "@alice:example.org",
        "state_key": "@alice:example.org",
        "content": {
            "membership": "join",
            "join_authorised_via_users_server": "@host:resident.example",
        },
        "depth": 40,
        "prev_events": [reference(version, 1)],
        "auth_events": [reference(version, 2), reference(version, 3)],
    })
}

#[test]
fn a_template_gives_a_membership_event_its_place_in_the_room() {
    for version in RoomVersion::ALL {
        let mut json = template(version);
        // A hash that is one, for the versions that have it.
        let text = json.to_string().replace("aGFzaA", &"A".repeat(43));
        json = serde_json::from_str(&text).unwrap();
        let parsed = MembershipTemplate::parse(json.to_string().as_bytes(), version).unwrap();
        let restricted = version.rules().authorization.restricted_join_rule;
        let room = OwnedRoomId::try_from(room_id(version)).unwrap();
        let mut proto = parsed.event(room, alice(), "join");
        if version.rules().event_format.require_event_id {
            proto.event_id = Some(OwnedEventId::try_from("$new:example.org").unwrap());
        }
        let new = proto.build(version).unwrap();
        let pdu = new.pdu();
        assert_eq!(pdu.depth(), 40);
        assert_eq!(pdu.member("prev_events").unwrap().text(), json["prev_events"].to_string());
        assert_eq!(pdu.member("auth_events").unwrap().text(), json["auth_events"].to_string());
        assert!(pdu.view().is_state("m.room.member", "@alice:example.org"));
        assert_eq!(pdu.content().contains("@host:resident.example"), restricted, "{version}");
    }
}

#[test]
fn a_template_without_a_place_in_the_room_is_refused() {
    for field in [Field::PrevEvents, Field::AuthEvents, Field::Depth] {
        let mut json = template(RoomVersion::V11);
        json.as_object_mut().unwrap().remove(field.name());
        let result = MembershipTemplate::parse(json.to_string().as_bytes(), RoomVersion::V11);
        assert_eq!(result, Err(FormatError::Missing(field)));
    }
}
