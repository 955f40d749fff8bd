//! From a drafted event to one with an id, with or without hashes and signatures.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::event::RoomEvent;

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
