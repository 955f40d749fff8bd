//! Signers and key sources for the tests of this crate.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::collections::BTreeMap;

use freehold_canonical_json::{Limits, Object, Value, parse};
use freehold_event::{EventHash, EventReference, HashedPdu, Pdu, ProtoEvent, RoomVersion};
use freehold_signing::{
    KeyId, KeySource, KeyValidity, PublishedKey, ServerSigner, Signature, Signer, SigningKey, VerifyingKey,
};
use ruma_common::{OwnedServerName, ServerName};

/// A signer whose key is made of one repeated byte.
pub fn signer(server: &str, version: &str, seed: u8) -> ServerSigner {
    ServerSigner::new(
        server.try_into().unwrap(),
        KeyId::ed25519(version).unwrap(),
        SigningKey::from_seed(&[seed; 32]),
    )
}

/// Published keys in memory.
#[derive(Default)]
pub struct Keys(BTreeMap<(OwnedServerName, KeyId), (VerifyingKey, KeyValidity)>);

impl Keys {
    /// The key of a signer, valid for ever.
    pub fn of(signer: &ServerSigner) -> Self {
        Self::default().with(signer)
    }

    /// One more key, valid for ever.
    pub fn with(mut self, signer: &ServerSigner) -> Self {
        let name = (signer.server_name().to_owned(), signer.key_id().clone());
        let key = signer.signing_key().verifying_key().clone();
        self.0.insert(name, (key, KeyValidity::Current { valid_until_ts: i64::MAX }));
        self
    }

    /// The same keys under another id, which may be of an algorithm nobody knows.
    pub fn under(self, key_id: &str) -> Self {
        let key_id = KeyId::parse(key_id).unwrap();
        Self(self.0.into_iter().map(|((server, _), key)| ((server, key_id.clone()), key)).collect())
    }

    /// The same keys with another validity.
    pub fn valid(mut self, validity: KeyValidity) -> Self {
        self.0.values_mut().for_each(|key| key.1 = validity);
        self
    }
}

impl KeySource for Keys {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        let (key, validity) = self.0.get(&(server.to_owned(), key_id.clone()))?;
        Some(PublishedKey { key, validity: *validity })
    }
}

/// The bytes of a signature in an object.
pub fn signature_of(object: &Object<'_>, server: &str, key_id: &str) -> Option<Signature> {
    let all = object.get("signatures").and_then(Value::as_object)?;
    let entry = all.get(server).and_then(Value::as_object)?;
    Signature::from_base64(entry.get(key_id)?.as_str()?)
}

/// A new event of a room of some version, with everything but its kind made up.
pub fn proto(version: &RoomVersion, sender: &str, event_type: &str) -> ProtoEvent {
    let hash = EventHash::from_base64(&"A".repeat(43)).unwrap();
    let of_domain = version.rules().signatures.check_event_id_server;
    let id = |name: &str| if of_domain { format!("${name}:a.example") } else { format!("${name}") };
    let reference =
        |name: &str| EventReference { event_id: id(name).try_into().unwrap(), reference_hash: Some(hash) };
    let mut proto = ProtoEvent::new(sender.try_into().unwrap(), event_type);
    proto.event_id = of_domain.then(|| id("new").try_into().unwrap());
    let hashed_room = version.rules().authorization.room_create_event_id_as_room_id;
    let room_id = if hashed_room { format!("!{}", "r".repeat(43)) } else { "!room:a.example".to_owned() };
    proto.room_id = Some(room_id.try_into().unwrap());
    proto.origin_server_ts = EVENT_MS;
    proto.depth = 3;
    proto.prev_events = vec![reference(&"p".repeat(43))];
    proto.auth_events = vec![reference(&"c".repeat(43))];
    proto
}

/// A membership event with more content.
pub fn member(version: &RoomVersion, sender: &str, target: &str, content: &str) -> ProtoEvent {
    let mut proto = proto(version, sender, "m.room.member");
    proto.state_key = Some(target.to_owned());
    let content = parse(content.as_bytes(), &Limits::STRICT).unwrap().into_owned();
    proto.content = content.into_object().unwrap();
    proto
}

/// An event as it is received: with signatures, whoever may make them.
pub fn received(proto: ProtoEvent, version: &'static RoomVersion, by: &[&ServerSigner]) -> HashedPdu {
    let json = proto.build(version).unwrap().pdu().canonical_json().to_owned();
    let mut event = Pdu::parse(json.as_bytes(), version).unwrap().check_content_hash();
    for signer in by {
        let signature = signer.sign(event.pdu().signed_bytes()).to_base64();
        let (name, key_id) = (signer.server_name().as_str(), signer.key_id().as_str());
        event = event.with_signature(name, key_id, &signature).unwrap();
    }
    event
}

/// When the events were made, in Unix milliseconds.
pub const EVENT_MS: i64 = 1_700_000_000_000;
