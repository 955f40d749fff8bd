//! Hashes and ids that are known from elsewhere.

use freehold_canonical_json::{Limits, parse as parse_json};
use freehold_event::{
    ContentHashVerdict, EventHash, Pdu, RoomVersion, content_hash, event_id_of, reference_hash,
};
use serde_json::Value;

use crate::fixture::parse;

/// The events of [the specification's test vectors for event
/// signing](https://spec.matrix.org/v1.19/appendices/#event-signing) and their content hashes.
const SPECIFICATION: &[(&str, &str)] = &[
    (
        r#"{
            "room_id": "!x:domain",
            "sender": "@a:domain",
            "origin": "domain",
            "origin_server_ts": 1000000,
            "signatures": {},
            "hashes": {},
            "type": "X",
            "content": {},
            "prev_events": [],
            "auth_events": [],
            "depth": 3,
            "unsigned": {
                "age_ts": 1000000
            }
        }"#,
        "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
    ),
    (
        r#"{
            "content": {
                "body": "Here is the message content"
            },
            "event_id": "$0:domain",
            "origin": "domain",
            "origin_server_ts": 1000000,
            "type": "m.room.message",
            "room_id": "!r:domain",
            "sender": "@u:domain",
            "signatures": {},
            "unsigned": {
                "age_ts": 1000000
            }
        }"#,
        "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
    ),
];

#[test]
fn content_hashes_are_those_of_the_specification() {
    for (event, expected) in SPECIFICATION {
        let event = parse_json(event.as_bytes(), &Limits::STRICT).unwrap();
        let hash = content_hash(event.as_object().unwrap());
        assert_eq!(hash.to_base64(), *expected);
    }
}

#[test]
fn signed_event_of_the_specification_is_intact() {
    let event = br#"{
        "auth_events": [],
        "content": {},
        "depth": 3,
        "hashes": {
            "sha256": "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"
        },
        "origin": "domain",
        "origin_server_ts": 1000000,
        "prev_events": [],
        "room_id": "!x:domain",
        "sender": "@a:domain",
        "signatures": {
            "domain": {
                "ed25519:1": "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg"
            }
        },
        "type": "X",
        "unsigned": {
            "age_ts": 1000000
        }
    }"#;
    let hashed = Pdu::parse(event, RoomVersion::V6).unwrap().check_content_hash();
    assert_eq!(hashed.verdict(), ContentHashVerdict::Intact);
}

/// Events of every type with an entry in the redaction table, in every room version, with the
/// hashes and ids that Synapse 1.163.2 gives them.
const SYNAPSE: &str = include_str!("../data/synapse_hashes.jsonl");

#[test]
fn hashes_and_ids_are_those_of_the_reference_implementation() {
    for line in SYNAPSE.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let version = RoomVersion::find(vector["version"].as_str().unwrap()).unwrap();
        // The text as it stands: floats and big integers must not pass through another parser.
        let (_, event) = line.split_once(r#""event":"#).unwrap();
        let event = event.strip_suffix('}').unwrap();

        let pdu = Pdu::parse(event.as_bytes(), version).unwrap();
        let name = format!("{} in {version}", pdu.event_type());
        assert_eq!(vector["content_hash"], pdu.content_hash().to_base64(), "{name}");
        assert_eq!(vector["reference_hash"], pdu.reference_hash().to_base64(), "{name}");
        assert_eq!(vector["event_id"], pdu.event_id().as_str(), "{name}");

        let tree = parse_json(event.as_bytes(), &Limits::RELAXED).unwrap();
        let tree = tree.as_object().unwrap();
        assert_eq!(content_hash(tree), pdu.content_hash(), "{name}");
        assert_eq!(reference_hash(tree, version), pdu.reference_hash(), "{name}");
        assert_eq!(event_id_of(tree, version).as_deref(), Some(pdu.event_id().as_str()), "{name}");
    }
    assert_eq!(SYNAPSE.lines().count(), 12 * 8);
}

#[test]
fn event_id_of_an_event_that_should_carry_one_and_does_not_is_unknown() {
    let event = parse_json(b"{}", &Limits::STRICT).unwrap();
    assert_eq!(event_id_of(event.as_object().unwrap(), RoomVersion::V2), None);
}

#[test]
fn a_hash_is_read_in_every_spelling() {
    let hash = EventHash::from([0xfb; 32]);
    let standard = "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s";
    let url_safe = "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s";
    assert_eq!(hash.to_base64(), standard);
    assert_eq!(hash.to_url_safe_base64(), url_safe);
    for text in [standard, url_safe, &format!("{standard}="), &format!("{url_safe}=")] {
        assert_eq!(EventHash::from_base64(text), Some(hash), "{text}");
    }
    // The last character has two bits to spare.
    assert_eq!(EventHash::from_base64(&standard.replace("/s", "/t")), Some(hash));
    for text in ["", "AAAA", &standard.repeat(2), "*", &format!("{standard}AA")] {
        assert_eq!(EventHash::from_base64(text), None, "{text}");
    }
}

#[test]
fn the_hash_of_an_event_is_compared_whatever_its_spelling() {
    let line = SYNAPSE.lines().last().unwrap();
    let vector: Value = serde_json::from_str(line).unwrap();
    let hash = vector["content_hash"].as_str().unwrap();
    let url_safe = hash.replace('+', "-").replace('/', "_");
    for (claimed, verdict) in [
        (hash.to_owned(), ContentHashVerdict::Intact),
        (format!("{hash}="), ContentHashVerdict::Intact),
        (url_safe, ContentHashVerdict::Intact),
        (hash.to_lowercase(), ContentHashVerdict::Redacted),
        (String::new(), ContentHashVerdict::Redacted),
        ("not base64 at all".to_owned(), ContentHashVerdict::Redacted),
    ] {
        let mut event = vector["event"].clone();
        event["hashes"]["sha256"] = claimed.clone().into();
        let hashed = parse(&event, RoomVersion::V12).unwrap().check_content_hash();
        assert_eq!(hashed.verdict(), verdict, "{claimed}");
        let content = if verdict == ContentHashVerdict::Intact {
            assert_eq!(hashed.pdu(), &parse(&event, RoomVersion::V12).unwrap());
            event["content"].to_string()
        } else {
            "{}".to_owned()
        };
        let content: Value = serde_json::from_str(&content).unwrap();
        assert_eq!(serde_json::from_str::<Value>(hashed.pdu().content()).unwrap(), content);
    }
}
