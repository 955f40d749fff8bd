//! An event of another server in its room: checks 4 to 7, and what is staged.

use freehold_room::{
    Coming, Dropped, Fetch, GivenError, Numbers, Place, Receipt, ReceiveError, Received, Standing,
};
use freehold_signing::SignedPdu;
use freehold_state_map::Entry;
use freehold_store::tables::rooms::{self, EVENTS, EventRow, MISSING_PREVS};
use freehold_store::{EventNumber, Order};
use ruma_common::{EventId, OwnedEventId};

use super::Known;
use crate::error::ActionError;
use crate::receive::Incoming;
use crate::work::{Work, numbers_of};

/// As what an event comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival<'a> {
    /// A part of an auth chain or of a state.
    Outlier,
    /// An event, with the state before it if a server gave one.
    New(Option<&'a [OwnedEventId]>),
    /// History, with the state before it if a server gave one.
    Past(Option<&'a [OwnedEventId]>),
}

impl Arrival<'_> {
    fn known(self) -> Known {
        match self {
            Arrival::Outlier => Known::AtAll,
            Arrival::New(_) | Arrival::Past(_) => Known::Settled,
        }
    }
}

/// The state before an event as a server gave it: events by the numbers of their types and state keys.
type Given = Vec<(u64, Entry)>;

impl Work {
    /// Checks an event and stages it. With any answer but [`Incoming::Kept`] nothing is staged.
    pub(crate) async fn receive_foreign(
        &mut self,
        signed: SignedPdu,
        arrival: Arrival<'_>,
    ) -> Result<Incoming, ActionError> {
        let event_id = signed.pdu().event_id().to_owned();
        // It may have come while this one waited for the room.
        let row = self.kept_row(&event_id).await?;
        if let Some(done) = self.done_before(&event_id, row.as_ref(), arrival) {
            return Ok(done);
        }
        let numbers = numbers_of(&self.rooms, &self.snapshot, &signed, &mut self.batch).await?;
        self.shelve_key(&signed, numbers);
        let received = match arrival {
            Arrival::Outlier => self.received_outlier(signed, numbers).await?,
            Arrival::New(state) | Arrival::Past(state) => {
                let given = match self.given_state(state).await? {
                    Ok(given) => given,
                    Err(incoming) => return Ok(incoming),
                };
                let place = self.place_of(&event_id, arrival).await?;
                self.received_event(signed, numbers, (place, given.as_deref())).await?
            }
        };
        let receipt = match received {
            Ok(Received::Receipt(receipt)) => *receipt,
            other => return not_kept(other),
        };
        if row.is_some() {
            self.beside.settled.push(EventNumber(receipt.event.number));
        }
        self.stage_foreign(receipt, numbers).await
    }

    /// The answer for an event that is here already, or cannot be.
    fn done_before(
        &self,
        event_id: &EventId,
        row: Option<&EventRow>,
        arrival: Arrival<'_>,
    ) -> Option<Incoming> {
        if row.is_some_and(|row| row.room != self.number) {
            let (event_id, room_id) = (event_id.to_owned(), self.room_id());
            return Some(Incoming::Dropped(Dropped::OtherRoom { event_id, room_id }));
        }
        let is_staged = || self.staged.iter().any(|receipt| receipt.event.pdu.event_id() == event_id);
        (row.is_some_and(|row| arrival.known().is(row)) || is_staged()).then_some(Incoming::Known)
    }

    async fn received_outlier(
        &mut self,
        signed: SignedPdu,
        numbers: Numbers,
    ) -> Result<Result<Received, ReceiveError>, ActionError> {
        loop {
            match self.machine.receive_outlier(signed.clone(), numbers, &self.shelf) {
                Err(ReceiveError::Stop(stop)) => self.fulfil(stop).await?,
                received => return Ok(received),
            }
        }
    }

    async fn received_event(
        &mut self,
        signed: SignedPdu,
        numbers: Numbers,
        (place, given): (Place, Option<&[(u64, Entry)]>),
    ) -> Result<Result<Received, ReceiveError>, ActionError> {
        let policy = self.policy_server().await?;
        let coming = Coming { place, given, policy: policy.as_ref() };
        loop {
            match self.machine.receive(signed.clone(), numbers, coming, &self.shelf) {
                Err(ReceiveError::Stop(stop)) => self.fulfil(stop).await?,
                received => return Ok(received),
            }
        }
    }

    async fn stage_foreign(&mut self, receipt: Receipt, numbers: Numbers) -> Result<Incoming, ActionError> {
        self.note_edges(&receipt).await?;
        // What comes next in the same change reads states that are not in the store yet.
        for (id, bytes) in &receipt.nodes {
            self.shelf.put_node(*id, bytes.clone());
        }
        let refused = receipt.refused.clone();
        let event = self.stage(receipt, numbers);
        if event.standing == Standing::Accepted {
            self.handle_redaction(&event).await?;
            self.release_redactions(&event).await?;
        }
        Ok(Incoming::Kept(refused))
    }

    /// The row of an event that is stored.
    async fn kept_row(&self, event_id: &EventId) -> Result<Option<EventRow>, ActionError> {
        match self.snapshot.number_of(&event_id.to_owned()).await? {
            Some(number) => Ok(self.snapshot.get(&EVENTS, &number).await?),
            None => Ok(None),
        }
    }

    async fn place_of(&self, event_id: &EventId, arrival: Arrival<'_>) -> Result<Place, ActionError> {
        if matches!(arrival, Arrival::Past(_)) {
            return Ok(Place::History);
        }
        let prefix = (self.number, event_id.to_owned());
        let following = self.snapshot.scan_prefix(&MISSING_PREVS, &prefix, Order::Ascending, 1).await?;
        Ok(if following.is_empty() { Place::New } else { Place::Followed })
    }

    /// Notes which events before an accepted one are missing, and that this one no longer is.
    async fn note_edges(&mut self, receipt: &Receipt) -> Result<(), ActionError> {
        let event = &receipt.event;
        if event.state_before.is_none() {
            return Ok(());
        }
        let prefix = (self.number, event.pdu.event_id().to_owned());
        let rows = self.snapshot.scan_prefix(&MISSING_PREVS, &prefix, Order::Ascending, usize::MAX).await?;
        for (key, ()) in rows {
            self.batch.delete(&MISSING_PREVS, &key);
        }
        if event.standing == Standing::Accepted {
            for missing in &receipt.missing_prev {
                let key = (self.number, missing.clone(), EventNumber(event.number));
                self.batch.put(&MISSING_PREVS, &key, &());
            }
        }
        Ok(())
    }

    /// What a server gave as a state, in numbers; what was rejected counts for nothing.
    async fn given_state(
        &self,
        state: Option<&[OwnedEventId]>,
    ) -> Result<Result<Option<Given>, Incoming>, ActionError> {
        let Some(event_ids) = state else {
            return Ok(Ok(None));
        };
        let numbers = self.snapshot.numbers_of(event_ids).await?;
        let (mut given, mut missing) = (Given::with_capacity(event_ids.len()), Vec::new());
        for (event_id, number) in event_ids.iter().zip(numbers) {
            let row = match number {
                Some(number) => self.snapshot.get(&EVENTS, &number).await?.map(|row| (number, row)),
                None => None,
            };
            let Some((number, row)) = row else {
                missing.push(event_id.clone());
                continue;
            };
            if row.room != self.number {
                return Ok(Err(Incoming::BadState(GivenError::OtherRoom)));
            }
            let Some(key) = row.state_key else {
                return Ok(Err(Incoming::BadState(GivenError::NoState)));
            };
            if row.standing != rooms::Standing::Rejected {
                given.push((key.0, Entry { event: number.0, generation: row.generation }));
            }
        }
        if missing.is_empty() {
            return Ok(Ok(Some(given)));
        }
        Ok(Err(Incoming::Fetch(Fetch { prev_events: Vec::new(), auth_events: missing })))
    }
}

/// The answer for an event of which nothing is kept.
fn not_kept(received: Result<Received, ReceiveError>) -> Result<Incoming, ActionError> {
    match received {
        Ok(Received::Fetch(fetch)) => Ok(Incoming::Fetch(fetch)),
        Ok(Received::Unsettled(refusal)) => Ok(Incoming::Unsettled(refusal)),
        Ok(Received::Receipt(receipt)) => Ok(Incoming::Kept(receipt.refused)),
        Err(ReceiveError::OtherRoom { event_id, room_id }) => {
            Ok(Incoming::Dropped(Dropped::OtherRoom { event_id, room_id }))
        }
        Err(ReceiveError::Given(error)) => Ok(Incoming::BadState(error)),
        Err(error) => Err(ActionError::Damaged(Box::new(error))),
    }
}
