//! From a drafted event to one with an id, with or without hashes and signatures.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use freehold_canonical_json::{Limits, Value, parse};
use freehold_event::{EventReference, HashedPdu, Pdu, ProtoEvent, RoomVersion};
use freehold_signing::{KeyId, ServerSigner, SignedEvent, Signer, SigningKey, sign_event};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use sha2::{Digest, Sha256};

use crate::{event::RoomEvent, rng::Rng};

/// The seeds of the signing keys of the servers in a room. Every server has one key,
/// `ed25519:1`.
pub type ServerKeys = BTreeMap<String, [u8; 32]>;

/// How events get their ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sealing {
    /// Ids that look right; no hashes, no signatures. Fast, for large graphs.
    #[default]
    Plain,
    /// PDUs with hashes and signatures; from room version 3 the id is the reference hash.
    Signed,
}

/// Gives an event its id as [`Sealing::Plain`] does: `$` and a hash of everything in it, or
/// `$opaque:server` in the versions that carry ids in the event.
pub(crate) fn plain_id(event: &RoomEvent, ids_in_events: bool, number: usize) -> String {
    if ids_in_events {
        return format!("${number}:{}", server_of(&event.sender));
    }
    let text = format!("{number} {event:?}");
    format!("${}", URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes())))
}

/// The server of a user id; empty when it has none.
pub(crate) fn server_of(user_id: &str) -> &str {
    freehold_event::server_name_of(user_id).unwrap_or_default()
}

/// Hashes and signs the events of one room.
#[derive(Clone, Debug)]
pub(crate) struct Sealer {
    version: &'static RoomVersion,
    rng: Rng,
    /// How the events so far are referred to.
    references: BTreeMap<String, EventReference>,
    pub(crate) keys: ServerKeys,
}

impl Sealer {
    /// A sealer whose keys are made from a stream.
    pub(crate) fn new(version: &'static RoomVersion, rng: Rng) -> Self {
        Self { version, rng, references: BTreeMap::new(), keys: ServerKeys::new() }
    }

    /// Makes the event a PDU with hashes, and the signatures of every server that has to sign;
    /// its id must be filled in where the room version has ids in events. `None` when what was
    /// asked for can be no well-formed event.
    pub(crate) fn seal(&mut self, event: &mut RoomEvent) -> Option<()> {
        let new = self.proto(event)?.build(self.version).ok()?;
        let signed = match sign_event(new, &self.signer(server_of(&event.sender))?).ok()? {
            SignedEvent::Complete(signed) => signed.into_hashed(),
            SignedEvent::AwaitingOthers { event, servers } => {
                let add = |event: HashedPdu, server: &OwnedServerName| {
                    let signer = self.signer(server.as_str())?;
                    let signature = signer.sign(event.pdu().signed_bytes()).to_base64();
                    event.with_signature(server.as_str(), signer.key_id().as_str(), &signature).ok()
                };
                servers.iter().try_fold(event, add)?
            }
        };
        let pdu: &Pdu = signed.pdu();
        event.event_id = pdu.event_id().to_string();
        event.content = pdu.content().to_owned();
        event.pdu = Some(pdu.canonical_json().to_owned());
        self.references.insert(event.event_id.clone(), EventReference::from(pdu));
        Some(())
    }

    fn proto(&self, event: &RoomEvent) -> Option<ProtoEvent> {
        let references = |ids: &[String]| -> Option<Vec<EventReference>> {
            ids.iter().map(|id| self.references.get(id).cloned()).collect()
        };
        let sender = OwnedUserId::try_from(event.sender.as_str()).ok()?;
        let mut proto = ProtoEvent::new(sender, event.event_type.clone());
        let id = Some(event.event_id.as_str()).filter(|id| !id.is_empty());
        proto.event_id = id.map(OwnedEventId::try_from).transpose().ok()?;
        proto.room_id = event.room_id.as_deref().map(OwnedRoomId::try_from).transpose().ok()?;
        proto.state_key.clone_from(&event.state_key);
        proto.content = match parse(event.content.as_bytes(), &Limits::RELAXED).ok()? {
            Value::Object(content) => content.into_owned(),
            _ => return None,
        };
        proto.redacts = event.redacts.as_deref().and_then(|id| OwnedEventId::try_from(id).ok());
        proto.origin_server_ts = event.origin_server_ts;
        proto.depth = event.depth;
        proto.prev_events = references(&event.prev_events)?;
        proto.auth_events = references(&event.auth_events)?;
        Some(proto)
    }

    /// The signer of a server, with a key that hangs on the stream and the name alone.
    fn signer(&mut self, server: &str) -> Option<ServerSigner> {
        let rng = &self.rng;
        let make = || rng.clone().fork(server).bytes32();
        let seed = self.keys.entry(server.to_owned()).or_insert_with(make);
        let key = SigningKey::from_seed(seed);
        let name = OwnedServerName::try_from(server).ok()?;
        Some(ServerSigner::new(name, KeyId::ed25519("1").ok()?, key))
    }
}
