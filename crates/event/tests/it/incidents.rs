//! What went wrong elsewhere.

use freehold_event::{ContentHashVerdict, FormatError, MembershipTemplate, Pdu, RawPdu, RoomVersion};
use ruma_common::{OwnedRoomId, OwnedUserId};
use serde_json::{Value, json};

use crate::fixture::{message, parse, room_id};

/// CVE-2025-30355: an event was accepted that could not be serialised again, and broke outbound
/// federation. Here what is accepted is its own serialisation.
#[test]
fn cve_2025_30355_what_is_accepted_can_be_sent_on() {
    for version in RoomVersion::ALL {
        for (field, value) in [
            ("depth", json!(-1)),
            ("depth", json!("12")),
            ("depth", json!(u64::MAX)),
            ("origin_server_ts", json!(u64::MAX)),
            ("unsigned", json!([])),
            ("unsigned", json!("")),
            ("signatures", json!([])),
            ("signatures", json!({"example.org": {"ed25519:1": 7}})),
            ("prev_events", json!({})),
            ("auth_events", json!([[]])),
            ("type", json!({})),
            ("state_key", json!(0)),
            ("content", json!("")),
        ] {
            let mut event = message(version);
            event[field] = value;
            assert!(parse(&event, version).is_err(), "{field} in {version}");
        }
        let mut odd = message(version);
        odd["org.example"] = json!({"\u{0}": ["\u{1f600}", {"a": {"b": [[[]]]}}], "": null});
        let pdu = parse(&odd, version).unwrap();
        let again = Pdu::parse(pdu.canonical_json().as_bytes(), version).unwrap();
        assert_eq!(again, pdu);
        assert_eq!(serde_json::from_str::<Value>(pdu.canonical_json()).unwrap(), odd);
    }
}

/// CVE-2020-26890: `NaN` and `Infinity` were accepted.
#[test]
fn cve_2020_26890_nan_and_infinity_are_refused_in_every_version() {
    for version in RoomVersion::ALL {
        for number in ["NaN", "Infinity", "-Infinity", "1e999"] {
            let text = message(version).to_string().replace("\"hello\"", number);
            let result = Pdu::parse(text.as_bytes(), version);
            assert!(matches!(result, Err(FormatError::Json(_))), "{number} in {version}");
        }
    }
}

/// continuwuity 8f0c7a99d: an unknown room version fell back to version 1, and things went on.
#[test]
fn unknown_room_version_is_an_error() {
    let create = br#"{"type":"m.room.create","content":{"room_version":"org.example.new"}}"#;
    let version = RawPdu::new(create).created_room_version().unwrap();
    assert_eq!(version.unwrap_err().id.as_deref(), Some("org.example.new"));
}

/// CVE-2026-24471: the template of `make_join`, `make_leave` or `make_knock` was signed as it
/// came.
#[test]
fn cve_2026_24471_nothing_but_its_place_is_taken_from_a_template() {
    let template = json!({
        "type": "m.room.power_levels",
        "room_id": "!other:evil.example",
        "sender": "@victim:example.org",
        "state_key": "",
        "content": {"membership": "ban", "users": {"@evil:evil.example": 100}},
        "redacts": "$x",
        "depth": 4,
        "prev_events": ["$p"],
        "auth_events": ["$a"],
        "origin_server_ts": 1,
        "org.example.extra": true,
    });
    let version = RoomVersion::V11;
    let parsed = MembershipTemplate::parse(template.to_string().as_bytes(), version).unwrap();
    let room = OwnedRoomId::try_from(room_id(version)).unwrap();
    let user = OwnedUserId::try_from("@alice:example.org").unwrap();
    let mut proto = parsed.event(room, user, "join");
    proto.origin_server_ts = 7;
    let new = proto.build(version).unwrap();
    let mut expected = json!({
        "type": "m.room.member",
        "room_id": "!room:example.org",
        "sender": "@alice:example.org",
        "state_key": "@alice:example.org",
        "content": {"membership": "join"},
        "depth": 4,
        "prev_events": ["$p"],
        "auth_events": ["$a"],
        "origin_server_ts": 7,
        "signatures": {},
    });
    expected["hashes"] = json!({"sha256": new.pdu().content_hash().to_base64()});
    assert_eq!(serde_json::from_str::<Value>(new.pdu().canonical_json()).unwrap(), expected);
}

/// dendrite 0.15.1, synapse#7543, continuwuity 2dc6051d6 and 7b3e3a26b: one bad event failed a
/// whole transaction, and illegal `auth_events` ended in a panic.
#[test]
fn a_bad_event_is_an_error_of_its_own() {
    let version = RoomVersion::V11;
    for auth_events in [json!(null), json!([null]), json!([[[]]]), json!(["x"]), json!("$a")] {
        let mut bad = message(version);
        bad["auth_events"] = auth_events;
        let transaction = [message(version), bad, message(version)];
        let parsed: Vec<_> = transaction.iter().map(|event| parse(event, version)).collect();
        assert_eq!(parsed.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    }
}

/// ruma-state-res: events were rejected for malformed fields that did not matter.
#[test]
fn members_without_a_meaning_may_be_anything() {
    for version in RoomVersion::ALL {
        for junk in [json!(null), json!(-7), json!({"sha256": 7}), json!([[]]), json!("")] {
            let mut event = message(version);
            for key in ["origin", "membership", "prev_state", "age_ts", "user_id", "redacts"] {
                event[key] = junk.clone();
            }
            event["content"]["redacts"] = junk.clone();
            event["content"]["membership"] = junk.clone();
            let pdu = parse(&event, version).unwrap();
            assert_eq!(serde_json::from_str::<Value>(pdu.canonical_json()).unwrap(), event);
        }
    }
}

/// Where ids are computed, an `event_id` in the event is a member without a meaning.
#[test]
fn a_given_event_id_does_not_become_the_id_where_ids_are_computed() {
    for version in RoomVersion::ALL.iter().skip(2) {
        let mut event = message(version);
        event["event_id"] = json!("$forged:example.org");
        let pdu = parse(&event, version).unwrap();
        assert_ne!(pdu.event_id(), "$forged:example.org");
        // It is kept and hashed like everything else, as the redaction algorithm says.
        assert!(pdu.canonical_json().contains("$forged:example.org"));
        assert_ne!(pdu.event_id(), parse(&message(version), version).unwrap().event_id());
    }
}

/// A relay that changes content must not get it past the content hash.
#[test]
fn changed_content_is_redacted() {
    for version in RoomVersion::ALL {
        let mut event = message(version);
        let hash = parse(&event, version).unwrap().content_hash();
        event["hashes"]["sha256"] = json!(hash.to_base64());
        let intact = parse(&event, version).unwrap().check_content_hash();
        assert_eq!(intact.verdict(), ContentHashVerdict::Intact);

        event["content"]["body"] = json!("goodbye");
        let hashed = parse(&event, version).unwrap().check_content_hash();
        assert_eq!(hashed.verdict(), ContentHashVerdict::Redacted);
        assert_eq!(hashed.pdu().content(), "{}");
        assert_eq!(hashed.pdu().signed_bytes(), intact.pdu().signed_bytes());
    }
}

/// What other servers put into `unsigned` and `signatures` does not make another event of it.
#[test]
fn duplicate_keys_are_read_as_the_network_reads_them() {
    let version = RoomVersion::V11;
    let text = message(version).to_string();
    let doubled = text.replacen('{', r#"{"type":"m.room.create","sender":"@evil:evil.example","#, 1);
    let doubled = Pdu::parse(doubled.as_bytes(), version).unwrap();
    assert_eq!(doubled, Pdu::parse(text.as_bytes(), version).unwrap());
}
