//! Takes members of a room that is known while the rest of the answer that tells them still comes: what authorises them is here
//! already, and the processors would wait for the wire.

use std::collections::{BTreeMap, BTreeSet};

use freehold_event::HashedPdu;
use freehold_signing::{WantedKey, verify_events};
use ruma_common::{OwnedEventId, OwnedServerName, RoomId};

use super::keys::{Keys, KeysOfMany};
use crate::error::ActionError;
use crate::limits::{BATCH_MAX, TAKEN_AHEAD, TAKEN_AT_ONCE, WAITING_AHEAD_MAX};
use crate::rooms::Rooms;
use crate::rows::event_rows;
use crate::send::tried;

/// Members that came and are not taken yet. They are with the rest of the answer, too: what is not taken here is looked at when all
/// has come.
#[derive(Default)]
pub(super) struct Ahead {
    /// By a signer whose keys have not come.
    waiting: BTreeMap<OwnedServerName, Vec<Member>>,
    ready: Vec<Member>,
    /// How many changes are under way.
    taking: usize,
}

/// A membership event, and whose keys it is verified with.
pub(super) struct Member {
    event: HashedPdu,
    signers: Vec<OwnedServerName>,
}

impl Member {
    /// An event of a state, if it is a membership that other servers signed.
    pub(super) fn of(rooms: &Rooms, event: &HashedPdu, signed_with: &[WantedKey]) -> Option<Self> {
        let is_foreign = signed_with.iter().all(|key| !rooms.is_hosted(&key.server));
        if !is_foreign || event.pdu().event_type() != "m.room.member" {
            return None;
        }
        let mut signers: Vec<OwnedServerName> = signed_with.iter().map(|key| key.server.clone()).collect();
        signers.dedup();
        Some(Member { event: event.clone(), signers })
    }
}

impl Ahead {
    /// A member came.
    pub(super) fn came(&mut self, member: Member, keys: &KeysOfMany) {
        match member.signers.iter().find(|signer| !keys.has_answer_about(signer)).cloned() {
            Some(signer) => self.waiting.entry(signer).or_default().push(member),
            None => self.ready.push(member),
        }
    }

    /// The keys of some servers came, or nobody tells them.
    pub(super) fn keys_came(&mut self, servers: &[OwnedServerName], keys: &KeysOfMany) {
        for server in servers {
            for member in self.waiting.remove(server).into_iter().flatten() {
                self.came(member, keys);
            }
        }
    }

    /// Whether so many are ready that no more are to come before some of them are taken.
    pub(super) fn is_full(&self) -> bool {
        // INVARIANT: while this many are ready, some are being taken.
        self.ready.len() >= WAITING_AHEAD_MAX
    }

    /// A change has come to its end.
    pub(super) fn taken(&mut self) {
        self.taking -= 1;
    }

    /// Members to be taken with one change, and the keys to verify them with; `None` while others are being taken, or too few
    /// are ready.
    pub(super) fn next(&mut self, keys: &KeysOfMany) -> Option<(Vec<HashedPdu>, Keys)> {
        if self.taking >= TAKEN_AHEAD || self.ready.len() < TAKEN_AT_ONCE {
            return None;
        }
        self.taking += 1;
        let members: Vec<Member> = self.ready.drain(..TAKEN_AT_ONCE).collect();
        let signers: BTreeSet<&OwnedServerName> = members.iter().flat_map(|member| &member.signers).collect();
        let keys = keys.of_servers(signers.into_iter());
        Some((members.into_iter().map(|member| member.event).collect(), keys))
    }
}

impl Rooms {
    /// Takes those of some events as outliers that hold and are authorised by what is here; gives which these are.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn take_ahead(
        &self,
        room_id: &RoomId,
        events: Vec<HashedPdu>,
        keys: Keys,
    ) -> Result<Vec<OwnedEventId>, ActionError> {
        let (events, now_ts) = (self.authorised_here(events).await?, self.now_ts());
        let verified = self.have_done(move || verify_events(events, &keys, now_ts)).await?;
        let signed: Vec<_> = verified.into_iter().flatten().collect();
        let (held, _) = tried!(self.try_take(room_id, &signed))?;
        Ok(held)
    }

    /// Those of some events that are not here themselves, while all that authorises them is.
    async fn authorised_here(&self, events: Vec<HashedPdu>) -> Result<Vec<HashedPdu>, ActionError> {
        let mut named = BTreeSet::new();
        for event in &events {
            named.insert(event.pdu().event_id().to_owned());
            named.extend(event.pdu().auth_events().iter().cloned());
        }
        let here = self.kept_of(named.into_iter().collect()).await?;
        let is_next = |event: &HashedPdu| {
            let pdu = event.pdu();
            !here.contains(pdu.event_id()) && pdu.auth_events().iter().all(|cited| here.contains(cited))
        };
        Ok(events.into_iter().filter(is_next).collect())
    }

    /// Those of some events that are here.
    async fn kept_of(&self, event_ids: Vec<OwnedEventId>) -> Result<BTreeSet<OwnedEventId>, ActionError> {
        let (snapshot, mut kept) = (self.0.store.snapshot()?, BTreeSet::new());
        for page in event_ids.chunks(BATCH_MAX) {
            let rows = event_rows(&snapshot, page).await?;
            let found = page.iter().zip(rows).filter(|(_, row)| row.is_some());
            kept.extend(found.map(|(event_id, _)| event_id.clone()));
        }
        Ok(kept)
    }
}
