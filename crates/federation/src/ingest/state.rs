//! The state before an event, where it cannot be derived here.

use std::collections::{BTreeMap, BTreeSet};

use async_lock::{Semaphore, SemaphoreGuard};
use freehold_rooms::Incoming;
use freehold_signing::KeySource;
use ruma_common::{EventId, OwnedEventId, OwnedServerName};

use super::fetching::{NoAnswer, StateIds, WholeState};
use super::flight::{Flight, Piece, here};
use crate::limits::{GIVEN_NEW_EVENTS_MAX, SINGLE_EVENTS_MAX, STATE_EVENTS_MAX, WHOLE_STATES_AT_ONCE};

/// The whole states that are in memory at a time, of all rooms together.
pub(super) struct WholeStates(Semaphore);

impl Default for WholeStates {
    fn default() -> Self {
        WholeStates(Semaphore::new(WHOLE_STATES_AT_ONCE))
    }
}

impl WholeStates {
    /// Waits for a place. It is given back when what came of the state is stored.
    async fn place(&self) -> SemaphoreGuard<'_> {
        self.0.acquire().await
    }
}

impl Flight<'_> {
    /// Receives an event with the state before it as the first server gives it whose answer holds.
    pub(super) async fn receive_with_given_state(
        &self,
        piece: &Piece,
        keys: &(dyn KeySource + Sync),
    ) -> Result<Incoming, NoAnswer> {
        let mut last = NoAnswer::Nobody;
        for server in &self.servers {
            let state = match self.given_state(server, piece.pdu.event_id()).await {
                Ok(state) => state,
                Err(NoAnswer::TooMuch) => return Err(NoAnswer::TooMuch),
                Err(error) => {
                    last = last.or(error);
                    continue;
                }
            };
            match self.receive(piece, Some(&state), keys).await? {
                // Another server may say something else.
                Incoming::BadState(_) => last = last.or(NoAnswer::Useless("no state of the room")),
                Incoming::Unsettled(_) => {
                    last = last.or(NoAnswer::Useless("its state does not allow the event"))
                }
                Incoming::Fetch(_) => last = last.or(NoAnswer::Useless("events of its state cannot be had")),
                incoming => return Ok(incoming),
            }
        }
        Err(last)
    }

    /// The ids of the state before an event as a server says it; all of the events are here afterwards.
    pub(super) async fn given_state(
        &self,
        server: &OwnedServerName,
        event_id: &EventId,
    ) -> Result<Vec<OwnedEventId>, NoAnswer> {
        let asking = self.asking(server);
        let StateIds { pdu_ids, auth_chain_ids } =
            self.inner.parts.fetching.state_ids(asking, event_id).await?;
        if pdu_ids.is_empty() || pdu_ids.len().saturating_add(auth_chain_ids.len()) > STATE_EVENTS_MAX {
            return Err(NoAnswer::Useless("too many events, or none"));
        }
        let named: BTreeSet<OwnedEventId> = pdu_ids.iter().chain(&auth_chain_ids).cloned().collect();
        let named: Vec<OwnedEventId> = named.into_iter().collect();
        let missing: BTreeSet<OwnedEventId> = self.unknown(&named).await?.into_iter().collect();
        if missing.is_empty() {
            return Ok(pdu_ids);
        }
        if missing.len() > self.size_here().await?.saturating_add(GIVEN_NEW_EVENTS_MAX) {
            return Err(NoAnswer::Useless("more new events than the room could have"));
        }
        let (came, _place) = match missing.len() > SINGLE_EVENTS_MAX / 4 {
            true => {
                let place = self.inner.whole_states.place().await;
                (self.whole_state(server, event_id, &missing).await?, Some(place))
            }
            false => (BTreeMap::new(), None),
        };
        // Of the auth chain, what is named is enough.
        let wanted = self.unknown(&pdu_ids).await?.into_iter().collect();
        self.keep_outliers(wanted, came).await?;
        Ok(pdu_ids)
    }

    /// How many events the state of the room has here.
    async fn size_here(&self) -> Result<usize, NoAnswer> {
        let reader = self.rooms().reader().map_err(here)?;
        Ok(reader.current_state(self.room.number).await.map_err(here)?.len())
    }

    /// The events of a state and of its auth chain that are missing. Others are not looked at.
    async fn whole_state(
        &self,
        server: &OwnedServerName,
        event_id: &EventId,
        missing: &BTreeSet<OwnedEventId>,
    ) -> Result<BTreeMap<OwnedEventId, Piece>, NoAnswer> {
        let state = self.inner.parts.fetching.state(self.asking(server), event_id).await?;
        let WholeState { pdus, auth_chain } = state;
        if pdus.len().saturating_add(auth_chain.len()) > STATE_EVENTS_MAX {
            return Err(NoAnswer::TooMuch);
        }
        let mut pieces = BTreeMap::new();
        for texts in [pdus, auth_chain] {
            pieces.extend(self.look_unspent(texts).await?);
        }
        pieces.retain(|id, _| missing.contains(id));
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;

    /// However many rooms there are: otherwise whoever is in a thousand of them fills the memory with a thousand states.
    #[tokio::test(start_paused = true)]
    async fn few_whole_states_are_in_memory_at_a_time_whatever_the_rooms() {
        let (states, now, most) = (WholeStates::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let rooms = (0..20).map(|_| async {
            let _place = states.place().await;
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            now.fetch_sub(1, Ordering::Relaxed);
        });
        join_all(rooms).await;
        assert_eq!(most.into_inner(), WHOLE_STATES_AT_ONCE);
    }
}
