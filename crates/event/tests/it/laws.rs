//! Laws that hold for every event.

use freehold_canonical_json::{Limits, canonicalize};
use freehold_event::{ContentHashVerdict, Pdu, RoomVersion};
use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::fixture::{message, parse};

fn version() -> impl Strategy<Value = &'static RoomVersion> {
    select(RoomVersion::ALL)
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::from(Map::from_iter(map))),
        ]
    })
}

const KEYS: &[&str] = &[
    "membership",
    "creator",
    "join_rule",
    "allow",
    "users",
    "invite",
    "aliases",
    "redacts",
    "history_visibility",
    "third_party_invite",
    "room_version",
    "signed",
    "origin",
    "extra",
    "prev_state",
    "join_authorised_via_users_server",
];

fn key() -> impl Strategy<Value = String> {
    prop_oneof![3 => select(KEYS).prop_map(str::to_owned), 1 => any::<String>()]
}

fn object() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        3 => json_value(),
        1 => json_value().prop_map(|signed| json!({"signed": signed, "display_name": "x"})),
    ];
    prop::collection::btree_map(key(), value, 0..6).prop_map(|map| Value::from(Map::from_iter(map)))
}

/// A well-formed event with much in it that nobody knows.
fn event() -> impl Strategy<Value = (Value, &'static RoomVersion)> {
    let event_type = select(
        &[
            "m.room.member",
            "m.room.create",
            "m.room.join_rules",
            "m.room.power_levels",
            "m.room.aliases",
            "m.room.history_visibility",
            "m.room.redaction",
            "m.room.message",
            "",
        ][..],
    );
    (version(), event_type, object(), object(), object(), any::<u32>()).prop_map(
        |(version, event_type, content, extra, unsigned, ts)| {
            let mut event = message(version);
            for (key, value) in extra.as_object().unwrap() {
                if key != "redacts" && event.get(key).is_none() {
                    event[key] = value.clone();
                }
            }
            event["type"] = json!(event_type);
            event["content"] = content;
            event["unsigned"] = unsigned;
            event["origin_server_ts"] = json!(ts);
            (event, version)
        },
    )
}

fn with_hash(mut event: Value, version: &'static RoomVersion) -> Value {
    let hash = parse(&event, version).unwrap().content_hash();
    event["hashes"]["sha256"] = json!(hash.to_base64());
    event
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn an_event_keeps_every_byte((event, version) in event()) {
        let mut canonical = Vec::new();
        canonicalize(event.to_string().as_bytes(), &Limits::STRICT, &mut canonical).unwrap();
        let pdu = parse(&event, version).unwrap();
        prop_assert_eq!(pdu.canonical_json().as_bytes(), &canonical[..]);
        let again = Pdu::parse(&canonical, version).unwrap();
        prop_assert_eq!(again.event_id(), pdu.event_id());
        prop_assert_eq!(again, pdu);
    }

    #[test]
    fn text_and_tree_agree((event, version) in event()) {
        let pdu = parse(&event, version).unwrap();
        let tree = freehold_canonical_json::parse(pdu.canonical_json().as_bytes(), &Limits::STRICT);
        let tree = tree.unwrap().into_object().unwrap();
        prop_assert_eq!(freehold_event::content_hash(&tree), pdu.content_hash());
        prop_assert_eq!(freehold_event::reference_hash(&tree, version), pdu.reference_hash());
        let redacted = freehold_event::redact(&tree, version);
        let redacted_text = pdu.redacted();
        let redacted_text = redacted_text.canonical_json().as_bytes();
        prop_assert_eq!(redacted.to_canonical_vec(), redacted_text);
    }

    #[test]
    fn redaction_is_idempotent_and_keeps_the_id((event, version) in event()) {
        let pdu = parse(&event, version).unwrap();
        let once = pdu.redacted();
        prop_assert_eq!(once.event_id(), pdu.event_id());
        prop_assert_eq!(once.signed_bytes(), pdu.signed_bytes());
        prop_assert!(once.canonical_json().len() <= pdu.canonical_json().len());
        prop_assert_eq!(once.redacted(), once);
    }

    #[test]
    fn ids_and_hashes_do_not_depend_on_unsigned_and_signatures(
        (event, version) in event(), unsigned in object(), signature in "[a-z]{1,20}",
    ) {
        let pdu = parse(&event, version).unwrap();
        let mut other = event;
        other["unsigned"] = unsigned;
        other["signatures"] = json!({"b.example": {"ed25519:x": signature}});
        let other = parse(&other, version).unwrap();
        prop_assert_eq!(other.event_id(), pdu.event_id());
        prop_assert_eq!(other.reference_hash(), pdu.reference_hash());
        prop_assert_eq!(other.content_hash(), pdu.content_hash());
        prop_assert_eq!(other.signed_bytes(), pdu.signed_bytes());
    }

    #[test]
    fn one_flipped_bit_shows((event, version) in event(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let event = with_hash(event, version);
        let pdu = parse(&event, version).unwrap();
        let mut bytes = pdu.canonical_json().as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        // Most flips are no event any more.
        let Ok(flipped) = Pdu::parse(&bytes, version) else { return Ok(()) };
        if flipped == pdu {
            // The same event in another spelling.
            return Ok(());
        }
        let same = |name| {
            pdu.member(name).map(|value| value.text()) == flipped.member(name).map(|value| value.text())
        };
        let of_others = !same("unsigned") || !same("signatures");
        let hashed = flipped.clone().check_content_hash();
        let noticed = hashed.verdict() == ContentHashVerdict::Redacted
            || flipped.reference_hash() != pdu.reference_hash();
        prop_assert!(noticed || of_others, "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), version in version()) {
        prop_assert!(Pdu::parse(&bytes, version).is_err());
    }

    #[test]
    fn arbitrary_fields_do_no_harm((event, version) in event(), key in key(), value in json_value()) {
        let names = ["type", "sender", "content", "depth", "prev_events", "auth_events", "hashes"];
        for name in names.into_iter().chain([key.as_str()]) {
            let mut event = event.clone();
            event[name] = value.clone();
            if let Ok(pdu) = parse(&event, version) {
                let hashed = pdu.check_content_hash();
                let json = hashed.pdu().canonical_json().as_bytes();
                prop_assert_eq!(&Pdu::parse(json, version).unwrap(), hashed.pdu());
            }
        }
    }
}
