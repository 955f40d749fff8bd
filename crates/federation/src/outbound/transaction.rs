//! One transaction: what goes in it, and what it looks like.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freehold_store::tables::outbound::MissedRow;
use freehold_store::{EventNumber, Position, RoomNumber, Tenant, TenantNumber, UserNumber};
use hyper::body::Bytes;
use ruma_common::OwnedServerName;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

use super::progress::At;

/// Where a message to a server waits.
pub(super) type MessageKey = (TenantNumber, OwnedServerName, Position, u16);
/// Where something about a user waits for a server.
pub(super) type UserKey = (TenantNumber, OwnedServerName, UserNumber);
/// Where the last event of a room waits for a server.
pub(super) type RoomKey = (TenantNumber, OwnedServerName, RoomNumber);

/// What is done when a transaction went through.
#[derive(Debug)]
pub(super) enum Cargo {
    /// Messages to devices.
    Messages(Vec<MessageKey>),
    /// Device lists and signing keys, as they were marked when they were read.
    Lists { devices: Vec<(UserKey, Position)>, signing_keys: Vec<(UserKey, Position)> },
    /// Last events of rooms, of the time when the server was given up.
    Missed(Vec<(RoomKey, MissedRow)>),
    /// Events, with up to where the server has the log with them, and how much rides with them.
    Events { events: Vec<(At, EventNumber)>, up_to: Option<At>, rides: usize },
    /// Nothing: it is to be seen whether the server takes transactions at all.
    Nothing,
}

impl Cargo {
    /// How many things are in it of which there could be fewer.
    pub(super) fn count(&self) -> usize {
        match self {
            Cargo::Messages(messages) => messages.len(),
            Cargo::Lists { devices, signing_keys } => devices.len() + signing_keys.len(),
            Cargo::Missed(rooms) => rooms.len(),
            Cargo::Events { events, .. } => events.len(),
            Cargo::Nothing => 0,
        }
    }

    /// Whether something rides with it that is not written down.
    pub(super) fn has_rides(&self) -> bool {
        matches!(self, Cargo::Events { rides, .. } if *rides > 0)
    }
}

/// What goes to a server at once.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: String,
    pub(super) body: Bytes,
    pub(super) cargo: Cargo,
}

/// The body (<https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid>).
#[derive(Serialize)]
struct Body<'a> {
    origin: &'a str,
    origin_server_ts: i64,
    pdus: &'a [Box<RawValue>],
    edus: &'a [Box<RawValue>],
}

/// A data unit that is none of the room's (<https://spec.matrix.org/v1.19/server-server-api/#edus>).
#[derive(Serialize)]
struct Edu<'a> {
    edu_type: &'a str,
    content: &'a RawValue,
}

/// A data unit with a content that is JSON.
pub(super) fn edu(edu_type: &str, content: &str) -> serde_json::Result<Box<RawValue>> {
    let content: &RawValue = serde_json::from_str(content)?;
    to_raw_value(&Edu { edu_type, content })
}

impl Transaction {
    /// A transaction. With a `nonce` it differs from all others; without one, from those that have something else in
    /// them.
    pub(super) fn new(
        (tenant, now_ts): (&Tenant, i64),
        cargo: Cargo,
        (pdus, edus): (&[Box<RawValue>], &[Box<RawValue>]),
        nonce: Option<u64>,
    ) -> serde_json::Result<Self> {
        let origin = tenant.server_name().as_str();
        let body = serde_json::to_vec(&Body { origin, origin_server_ts: now_ts, pdus, edus })?;
        Ok(Transaction { id: id((pdus, edus), nonce), body: body.into(), cargo })
    }
}

/// The same for the same contents, whenever they are sent: letters, digits, `-` and `_`.
fn id((pdus, edus): (&[Box<RawValue>], &[Box<RawValue>]), nonce: Option<u64>) -> String {
    let mut hash = Sha256::new();
    for (kind, texts) in [(b"p", pdus), (b"e", edus)] {
        for text in texts {
            hash.update(kind);
            hash.update((text.get().len() as u64).to_be_bytes());
            hash.update(text.get().as_bytes());
        }
    }
    if let Some(nonce) = nonce {
        hash.update(b"n");
        hash.update(nonce.to_be_bytes());
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn the_same_contents_have_the_same_id_and_others_another() {
        let (one, two) = ([raw("{\"a\":1}")], [raw("{\"b\":2}")]);
        let [both, turned] = [[&one, &two], [&two, &one]].map(|pair| pair.map(|[raw]| raw.clone()));
        let ids = [
            id((&one, &[]), None),
            id((&[], &one), None),
            id((&both, &[]), None),
            id((&turned, &[]), None),
            id((&one, &two), None),
            id((&one, &[]), Some(1)),
            id((&one, &[]), Some(2)),
            id((&[], &[]), None),
        ];
        let different: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert_eq!(different.len(), ids.len());
        assert_eq!(ids[0], id((&one, &[]), None));
        assert!(ids[0].len() == 43 && ids[0].is_ascii());
    }
}
