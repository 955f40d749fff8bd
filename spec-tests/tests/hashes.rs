//! Hashes, ids, redaction and signatures of generated events, against `ruma-signatures`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use freehold_event::{ContentHashVerdict, Pdu, RoomVersion};
use freehold_signing::{
    KeyId, KeySource, KeyValidity, PublishedKey, SigningKey, VerifyingKey, required_signatures, verify_event,
};
use freehold_testkit::{GenerateConfig, Room, Sealing, generate};
use ruma_common::{
    CanonicalJsonObject, ServerName,
    canonical_json::redact,
    serde::{Base64, base64::Standard},
};
use ruma_signatures::{PublicKeyMap, content_hash, reference_hash};

/// Rooms that ruma can read: it does not take floats.
fn rooms() -> impl Iterator<Item = Room> {
    let versions = RoomVersion::ALL.iter().flat_map(|version| (0..3).map(move |seed| (version, seed)));
    let rooms = versions.map(|(version, seed)| {
        let config =
            GenerateConfig { version: Some(version), sealing: Sealing::Signed, ..GenerateConfig::default() };
        generate(seed, &config)
    });
    rooms
        .filter(|room| room.events_in_order().all(|event| ruma_object(event.pdu.as_ref().unwrap()).is_some()))
}

fn ruma_object(pdu: &str) -> Option<CanonicalJsonObject> {
    serde_json::from_str(pdu).ok()
}

struct Keys(BTreeMap<String, VerifyingKey>);

impl KeySource for Keys {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        let validity = KeyValidity::Current { valid_until_ts: i64::MAX };
        let key = self.0.get(server.as_str()).filter(|_| key_id.as_str() == "ed25519:1")?;
        Some(PublishedKey { key, validity })
    }
}

/// The public keys of a room's servers, for us and for ruma.
fn keys(room: &Room) -> (Keys, PublicKeyMap) {
    let keys = room
        .keys
        .iter()
        .map(|(server, seed)| (server.clone(), SigningKey::from_seed(seed).verifying_key().clone()));
    let ours: BTreeMap<String, VerifyingKey> = keys.collect();
    let ruma = ours.iter().map(|(server, key)| {
        let key = Base64::<Standard>::new(key.as_bytes().to_vec());
        (server.clone(), BTreeMap::from([("ed25519:1".to_owned(), key)]))
    });
    let ruma = ruma.collect();
    (Keys(ours), ruma)
}

#[test]
fn hashes_ids_and_redaction_are_those_of_ruma() {
    let mut events = 0;
    for room in rooms() {
        let rules = room.version.rules();
        for event in room.events_in_order() {
            let text = event.pdu.as_ref().unwrap();
            let pdu = Pdu::parse(text.as_bytes(), room.version).unwrap();
            let ruma = ruma_object(text).unwrap();
            assert_eq!(serde_json::to_string(&ruma).unwrap(), *text);
            assert_eq!(content_hash(&ruma).unwrap().encode(), pdu.content_hash().to_base64());
            if room.version != RoomVersion::V1 && room.version != RoomVersion::V2 {
                let hash = reference_hash(&ruma, rules).unwrap();
                assert_eq!(format!("${hash}"), pdu.event_id().as_str());
            }
            let redacted = redact(ruma, &rules.redaction, None).unwrap();
            let redacted = serde_json::to_string(&redacted).unwrap();
            // Ruma keeps `unsigned` where nothing is left in it; a federation event has none.
            assert_eq!(redacted, pdu.redacted().canonical_json());
            events += 1;
        }
    }
    assert!(events > 1000, "{events}");
}

#[test]
fn signatures_that_ruma_takes_are_those_we_take() {
    for room in rooms() {
        let (ours, ruma_keys) = keys(&room);
        for event in room.events_in_order() {
            let text = event.pdu.as_ref().unwrap();
            let pdu = Pdu::parse(text.as_bytes(), room.version).unwrap();
            let wanted = required_signatures(&pdu).unwrap();
            let object = ruma_object(text).unwrap();
            let ruma = ruma_signatures::verify_event(&ruma_keys, &object, room.version.rules());
            assert!(ruma.is_ok(), "{ruma:?}: {text}");
            let hashed = pdu.clone().check_content_hash();
            assert_eq!(hashed.verdict(), ContentHashVerdict::Intact);
            assert!(verify_event(hashed, &ours, i64::MAX).is_ok(), "{wanted:?}");
            // One flipped bit in what is signed, and nobody takes it.
            let forged = text.replacen("\"depth\":", "\"depth\":1", 1);
            let object = ruma_object(&forged).unwrap();
            let pdu = Pdu::parse(forged.as_bytes(), room.version).unwrap();
            if !wanted.is_empty() {
                assert!(ruma_signatures::verify_event(&ruma_keys, &object, room.version.rules()).is_err());
                assert!(verify_event(pdu.check_content_hash(), &ours, i64::MAX).is_err());
            }
        }
    }
}
