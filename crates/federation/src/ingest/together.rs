//! Several events at once: their signatures are checked on all processors, and their room changes once.

use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_event::Pdu;
use freehold_room::Dropped;
use freehold_rooms::{ActionError, Incoming, RoomFacts};
use freehold_signing::{KeySource, SignedPdu};
use ruma_common::RoomId;

use super::driver::{Inner, TakeError, Taken, Visit, taken};
use super::flight::Piece;
use crate::limits::VERIFIED_AT_ONCE;

/// The keys with which some events are checked.
pub(super) type Keys = Arc<dyn KeySource + Send + Sync>;

impl Inner {
    /// Whether the room has a policy server, which is asked about each event by itself.
    pub(super) async fn is_recommended(&self, room: &RoomFacts) -> Result<bool, ActionError> {
        Ok(self.parts.rooms.reader()?.policy_server(room.number).await?.is_some())
    }

    /// Takes new events of a room in their order, those for which nothing is missing with one change; what came of each, by
    /// its place.
    pub(super) async fn take_together(
        &self,
        visit: &Visit<'_>,
        pieces: &[&Piece],
        keys: &Keys,
    ) -> Result<BTreeMap<usize, Result<Taken, TakeError>>, ActionError> {
        let pdus = pieces.iter().map(|piece| (*piece.pdu).clone()).collect();
        let (mut done, mut left) = (BTreeMap::new(), Vec::with_capacity(pieces.len()));
        for (place, verified) in self.verified(pdus, keys).await?.into_iter().enumerate() {
            match verified {
                Ok(signed) => left.push((place, signed)),
                Err(dropped) => drop(done.insert(place, Err(TakeError::Dropped(dropped)))),
            }
        }
        let mut came = true;
        while !left.is_empty() {
            if came {
                left = self.receive_ready(&visit.room.room_id, left, &mut done).await?;
            }
            if left.is_empty() {
                break;
            }
            // Those that follow it may be ready once this one is here.
            let (place, _) = left.remove(0);
            if let Some(piece) = pieces.get(place) {
                let taken = self.take_with_missing(visit, piece).await;
                came = taken.is_ok();
                done.insert(place, taken);
            }
        }
        Ok(done)
    }

    /// Receives the events for which nothing is missing; gives the others.
    async fn receive_ready(
        &self,
        room_id: &RoomId,
        events: Vec<(usize, SignedPdu)>,
        done: &mut BTreeMap<usize, Result<Taken, TakeError>>,
    ) -> Result<Vec<(usize, SignedPdu)>, ActionError> {
        let signed = events.iter().map(|(_, signed)| signed.clone()).collect();
        let received = self.parts.rooms.receive_verified(room_id, signed).await?;
        let mut waiting = Vec::new();
        for ((place, signed), incoming) in events.into_iter().zip(received) {
            match incoming {
                Ok(Incoming::Fetch(_)) => waiting.push((place, signed)),
                Ok(incoming) => drop(done.insert(place, taken(incoming))),
                Err(error) => drop(done.insert(place, Err(error.into()))),
            }
        }
        Ok(waiting)
    }

    /// Checks 2 and 3 of several events, a few in each piece of work for a processor.
    pub(super) async fn verified(
        &self,
        pdus: Vec<Pdu>,
        keys: &Keys,
    ) -> Result<Vec<Result<SignedPdu, Dropped>>, ActionError> {
        let now_ts = self.parts.clock.now_ts();
        let (mut running, mut verified) = (Vec::new(), Vec::with_capacity(pdus.len()));
        let mut pdus = pdus.into_iter();
        loop {
            let some: Vec<Pdu> = pdus.by_ref().take(VERIFIED_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            let keys = Arc::clone(keys);
            let verify = move || freehold_room::verify_all(some, &&*keys, now_ts);
            running.push(self.parts.rooms.have_done(verify));
        }
        for some in running {
            verified.extend(some.await?);
        }
        Ok(verified)
    }
}
