//! History before what is here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use freehold_rooms::{ActionError, Incoming, PastEvent, RoomFacts};
use freehold_store::Tenant;
use ruma_common::{OwnedEventId, RoomId};
use tokio::time::timeout;

use super::ask::hedged;
use super::driver::wanted_by;
use super::driver::{Ingest, Inner, TakeError};
use super::fetching::NoAnswer;
use super::flight::{Flight, Kin, Occasion, Piece, here};
use super::gap::in_order;
use crate::limits::{
    BACKFILL_CHOICE_MAX, BACKFILL_FROM_MAX, BACKFILL_PAGE, BACKFILL_ROUNDS_MAX, FLIGHT_EVENTS_MAX,
    FLIGHT_TIME_MS, GIVEN_STATES_MAX,
};

impl Ingest {
    /// Fetches history of a room on behalf of a tenant that is in it: up to a page of events before the oldest that are
    /// here. Gives how many events are new; 0 when there are no more, or nobody has them.
    ///
    /// # Errors
    /// [`TakeError`].
    pub async fn backfill(&self, tenant: &Tenant, room_id: &RoomId) -> Result<usize, TakeError> {
        let reader = self.0.parts.rooms.reader().map_err(|error| TakeError::Here(error.into()))?;
        let number = reader.room_number(room_id).await?.ok_or(TakeError::UnknownRoom)?;
        let room = reader.room(number).await?.ok_or(TakeError::UnknownRoom)?;
        if !reader.is_in_room(tenant.number(), number).await? {
            return Err(TakeError::UnknownRoom);
        }
        let flight = self.0.flight_for(tenant, room).await?;
        let occasion =
            Occasion { tenant: tenant.number(), room_id, origin: tenant.server_name(), kin: Kin::Member };
        let place = self.0.flights.enter(occasion, self.0.parts.clock.now_ts())?;
        let _turn = place.turn().await.ok_or(TakeError::Later)?;
        let done = timeout(Duration::from_millis(FLIGHT_TIME_MS), flight.backfill()).await;
        Ok(done.unwrap_or(Err(NoAnswer::TooSlow))?)
    }
}

impl Inner {
    /// A search on behalf of a tenant, which nobody else is the reason for.
    pub(super) async fn flight_for<'a>(
        &'a self,
        tenant: &'a Tenant,
        room: Arc<RoomFacts>,
    ) -> Result<Flight<'a>, ActionError> {
        let reader = self.parts.rooms.reader()?;
        let servers = self.servers(&reader, &room, &[]).await?;
        let left = AtomicUsize::new(FLIGHT_EVENTS_MAX);
        Ok(Flight { inner: self, tenant, room, origin: None, servers, left })
    }
}

impl Flight<'_> {
    /// Asks for history before some of the missing events, and before others when nobody has any.
    async fn backfill(&self) -> Result<usize, NoAnswer> {
        let (room, vain) = (self.room.number, &self.inner.vain);
        let mut done = Ok(0);
        for _ in 0..BACKFILL_ROUNDS_MAX {
            let reader = self.rooms().reader().map_err(here)?;
            let missing = reader.missing_prev_events(room, BACKFILL_CHOICE_MAX).await.map_err(here)?;
            drop(reader);
            let wanted = vain.next(room, &missing, self.inner.parts.clock.now_ts());
            if wanted.is_empty() {
                break;
            }
            done = self.backfill_before(&wanted).await;
            let asked: Vec<OwnedEventId> = wanted.iter().cloned().collect();
            let left = self.missing(&asked).await?.into_iter().collect();
            vain.note(room, (&wanted, &left), self.inner.parts.clock.now_ts());
            if matches!(done, Ok(1..) | Err(NoAnswer::Here(_))) || wanted.len() < BACKFILL_FROM_MAX {
                break;
            }
        }
        done
    }

    async fn backfill_before(&self, wanted: &BTreeSet<OwnedEventId>) -> Result<usize, NoAnswer> {
        let from: Vec<OwnedEventId> = wanted.iter().cloned().collect();
        let from = from.as_slice();
        let pieces = hedged(&self.servers, |server| {
            Box::pin(async move {
                let fetching = &self.inner.parts.fetching;
                let mut texts = fetching.backfill(self.asking(server), from, BACKFILL_PAGE).await?;
                texts.truncate(BACKFILL_PAGE);
                let pieces = preceding(wanted, self.look(texts).await?);
                if pieces.is_empty() { Err(NoAnswer::Useless("no history")) } else { Ok(pieces) }
            })
        });
        self.keep_past(in_order(pieces.await?)).await
    }

    /// Keeps history, each event after those that it follows.
    async fn keep_past(&self, pieces: Vec<Piece>) -> Result<usize, NoAnswer> {
        let came: BTreeSet<OwnedEventId> =
            pieces.iter().map(|piece| piece.pdu.event_id().to_owned()).collect();
        let mut states: BTreeMap<OwnedEventId, Vec<OwnedEventId>> = BTreeMap::new();
        for piece in &pieces {
            let named = self.unknown(piece.pdu.auth_events()).await?;
            let named: Vec<OwnedEventId> = named.into_iter().filter(|id| !came.contains(id)).collect();
            if !named.is_empty() {
                // What cannot be had keeps this one out, and no other.
                let _ = self.fetch_chain(&piece.pdu, named).await;
            }
            let reader = self.rooms().reader().map_err(here)?;
            let prev_events = piece.pdu.prev_events();
            let open = reader.stateless_events(self.room.number, prev_events).await.map_err(here)?;
            drop(reader);
            let is_open = open.iter().any(|id| !came.contains(id));
            if is_open
                && states.len() < GIVEN_STATES_MAX
                && let Some(state) = self.any_given_state(piece).await
            {
                states.insert(piece.pdu.event_id().to_owned(), state);
            }
        }
        let keys = self.keys(wanted_by(pieces.iter().map(|piece| &*piece.pdu))).await;
        let past: Vec<PastEvent<'_>> = pieces
            .iter()
            .map(|piece| PastEvent {
                json: piece.json.as_bytes(),
                state: states.get(piece.pdu.event_id()).map(Vec::as_slice),
            })
            .collect();
        let answers = self.rooms().receive_backfilled(self.room_id(), &past, &*keys).await.map_err(here)?;
        Ok(answers.iter().filter(|answer| matches!(answer, Incoming::Kept(_))).count())
    }

    async fn any_given_state(&self, piece: &Piece) -> Option<Vec<OwnedEventId>> {
        for server in &self.servers {
            if let Ok(state) = self.given_state(server, piece.pdu.event_id()).await {
                return Some(state);
            }
        }
        None
    }
}

/// Those of some events that are wanted, and what these follow.
fn preceding(
    wanted: &BTreeSet<OwnedEventId>,
    mut came: BTreeMap<OwnedEventId, Piece>,
) -> BTreeMap<OwnedEventId, Piece> {
    let mut next: Vec<OwnedEventId> = wanted.iter().cloned().collect();
    let mut found = BTreeMap::new();
    while let Some(id) = next.pop() {
        if let Some(piece) = came.remove(&id) {
            next.extend(piece.pdu.prev_events().iter().cloned());
            found.insert(id, piece);
        }
    }
    found
}
