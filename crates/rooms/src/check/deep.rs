//! Events judged anew: their signatures, and what the authorisation rules make of them.

use std::collections::{BTreeMap, BTreeSet};

use freehold_event::{Pdu, RoomVersion};
use freehold_event_auth::Refusal;
use freehold_keyring::recorded_keys;
use freehold_room::{Event, Shelf, Stop, rechecked};
use freehold_signing::{
    KeyId, KeySource, KeyValidity, PublishedKey, SignatureError, VerifyingKey, verify_event, wanted_keys,
};
use freehold_state_map::NodeId;
use freehold_store::tables::federation::REMOTE_KEYS;
use freehold_store::tables::rooms::{EventRow, RoomRow, Standing};
use freehold_store::{EventNumber, ReadError, RoomNumber};
use ruma_common::{OwnedServerName, ServerName};

use super::{Checking, RoomFault};
use crate::error::ActionError;
use crate::loaded::read_event;
use crate::outside::Identities;

/// Of how many servers the keys are held at a time.
const SERVERS_HELD: usize = 4_096;
/// How many events of a room lie on the shelf at a time; what is needed comes back by itself.
const SHELF_MAX: usize = 1_024;

/// What judging anew needs, and has at hand.
pub(super) struct Deep<'s> {
    identities: &'s dyn Identities,
    now_ts: i64,
    keys: HeldKeys,
    /// The pieces of the room whose events were judged last.
    shelf: (RoomNumber, Shelf),
}

impl<'s> Deep<'s> {
    pub(super) fn new(identities: &'s dyn Identities, now_ts: i64) -> Self {
        Deep { identities, now_ts, keys: HeldKeys::default(), shelf: (RoomNumber(0), Shelf::new()) }
    }

    /// The shelf for an event of a room.
    fn shelf(&mut self, room: RoomNumber) -> &mut Shelf {
        if self.shelf.0 != room || self.shelf.1.events_len() > SHELF_MAX {
            self.shelf = (room, Shelf::new());
        }
        &mut self.shelf.1
    }
}

impl Checking<'_> {
    /// Signatures and verdict of an event.
    pub(super) async fn anew(
        &mut self,
        (number, row): (EventNumber, &EventRow),
        room: &RoomRow,
        deep: &mut Deep<'_>,
    ) -> Result<(), ReadError> {
        // What cannot be read is found by the other checks.
        let Some(version) = RoomVersion::find(&room.version) else { return Ok(()) };
        let event = match read_event(self.snapshot, version, number).await {
            Ok(Some(event)) => event,
            Err(ActionError::Read(error)) => return Err(error),
            Ok(None) | Err(_) => return Ok(()),
        };
        self.found.rejudged += 1;
        self.signatures(&event, row.room, deep).await?;
        self.verdict(&event, (row, room), deep).await
    }

    /// Every signature holds that is needed and of which the key is here. Keys that were replaced since are as good as they were:
    /// what counts is whether the signature is theirs.
    async fn signatures(
        &mut self,
        event: &Event,
        room: RoomNumber,
        deep: &mut Deep<'_>,
    ) -> Result<(), ReadError> {
        let at = (room, Some(EventNumber(event.number)));
        for wanted in wanted_keys(&event.pdu).unwrap_or_default() {
            deep.keys
                .hold((&wanted.server, &wanted.key_id), self.snapshot, (deep.identities, deep.now_ts))
                .await?;
        }
        match verify_event(event.pdu.clone().check_content_hash(), &deep.keys, deep.now_ts) {
            Ok(_) => {}
            Err(SignatureError::NoUsableKey { .. }) => self.found.unverified += 1,
            Err(error) => self.report("event_json", at, RoomFault::Forged { reason: error.to_string() }),
        }
        Ok(())
    }

    /// Checks 4 and 5 on receipt say what they said when the event came.
    async fn verdict(
        &mut self,
        event: &Event,
        (row, room): (&EventRow, &RoomRow),
        deep: &mut Deep<'_>,
    ) -> Result<(), ReadError> {
        // Without some of them, and of what was redacted, not everything is left that was judged.
        if event.pdu.auth_events().len() != row.auth_events.len() || is_redacted(&event.pdu) {
            return Ok(());
        }
        let at = (row.room, Some(EventNumber(event.number)));
        let shelf = deep.shelf(row.room);
        let root = row.state_before.filter(|_| row.standing != Standing::Outlier).map(NodeId::from_bytes);
        let said = loop {
            match judged(event, (room.create, root), shelf) {
                Ok(said) => break said,
                Err(stop) => {
                    if let Some(reason) = self.supply(event.pdu.version(), shelf, stop).await? {
                        self.report("events", at, RoomFault::NoVerdict { reason });
                        return Ok(());
                    }
                }
            }
        };
        let Some(said) = said else { return Ok(()) };
        let fault = match (said, row.standing) {
            (Ok(()), Standing::Rejected) => RoomFault::RejectedThoughAllowed,
            (Err(refusal), Standing::Accepted | Standing::SoftFailed | Standing::Outlier) => {
                RoomFault::TakenThoughRefused { reason: refusal.to_string() }
            }
            _ => return Ok(()),
        };
        self.report("events", at, fault);
        Ok(())
    }
}

/// What the rules say of an event; `None` if that is not known any more, because one of its auth events was redacted.
fn judged(
    event: &Event,
    (create, root): (EventNumber, Option<NodeId>),
    shelf: &Shelf,
) -> Result<Option<Result<(), Refusal>>, Stop> {
    if shelf.events(&event.auth_events)?.iter().any(|auth| is_redacted(&auth.pdu)) {
        return Ok(None);
    }
    let state = root.map(|root| shelf.open(root)).transpose()?;
    rechecked(event, create.0, state.as_ref(), shelf).map(Some)
}

/// Whether a text is what is left of an event that was redacted or forgotten.
fn is_redacted(pdu: &Pdu) -> bool {
    pdu.claimed_content_hash() != Some(pdu.content_hash())
}

/// Keys that are here, of tenants and of other servers.
#[derive(Default)]
struct HeldKeys {
    keys: BTreeMap<OwnedServerName, BTreeMap<KeyId, VerifyingKey>>,
    /// Whose record was looked at.
    read: BTreeSet<OwnedServerName>,
}

impl HeldKeys {
    async fn hold(
        &mut self,
        (server, key_id): (&ServerName, &KeyId),
        snapshot: &freehold_store::Snapshot,
        (identities, now_ts): (&dyn Identities, i64),
    ) -> Result<(), ReadError> {
        if self.key(server, key_id).is_some() {
            return Ok(());
        }
        if let Some(tenant) = identities.tenant(server) {
            if let Some((key, _)) = identities.published_key(&tenant, key_id, now_ts) {
                self.keys.entry(server.to_owned()).or_default().insert(key_id.clone(), key);
            }
            return Ok(());
        }
        if self.read.contains(server) {
            return Ok(());
        }
        if self.read.len() >= SERVERS_HELD {
            *self = HeldKeys::default();
        }
        self.read.insert(server.to_owned());
        if let Some(record) = snapshot.get(&REMOTE_KEYS, &server.to_owned()).await? {
            let keys = recorded_keys(&record, server).into_iter().flatten();
            self.keys.entry(server.to_owned()).or_default().extend(keys);
        }
        Ok(())
    }
}

impl KeySource for HeldKeys {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        let key = self.keys.get(server)?.get(key_id)?;
        Some(PublishedKey { key, validity: KeyValidity::Old { expired_ts: i64::MAX } })
    }
}
