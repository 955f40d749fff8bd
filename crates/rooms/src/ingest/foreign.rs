//! An event of another server in its room: checks 4 to 7, and what is staged.

use std::collections::BTreeMap;

use freehold_room::{Coming, Dropped, Numbers, Place, Receipt, ReceiveError, Received, Standing};
use freehold_signing::SignedPdu;
use freehold_state_map::Entry;
use freehold_store::tables::rooms::{EVENTS, EventRow, MISSING_PREVS, WAITING_REDACTIONS};
use freehold_store::{BoxFuture, EventNumber, Order};
use ruma_common::{EventId, OwnedEventId};

use super::Known;
use crate::error::ActionError;
use crate::limits::READ_AHEAD_MAX;
use crate::loaded::standing_row;
use crate::numbers::{numbers_of, numbers_with};
use crate::receive::Incoming;
use crate::work::{ReadAhead, Work};

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

impl Work {
    /// Checks an event and stages it. With any answer but [`Incoming::Kept`] nothing is staged.
    pub(crate) fn receive_foreign<'a>(
        &'a mut self,
        signed: SignedPdu,
        arrival: Arrival<'a>,
    ) -> BoxFuture<'a, Result<Incoming, ActionError>> {
        Box::pin(self.receive_arriving(signed, arrival))
    }

    async fn receive_arriving(
        &mut self,
        signed: SignedPdu,
        arrival: Arrival<'_>,
    ) -> Result<Incoming, ActionError> {
        if self.is_partial && !matches!(arrival, Arrival::Outlier) {
            return Err(ActionError::Partial);
        }
        let event_id = signed.pdu().event_id().to_owned();
        // It may have come while this one waited for the room.
        let row = self.kept_row(&event_id).await?;
        if let Some(done) = self.done_before(&event_id, row.as_ref(), arrival) {
            return Ok(done);
        }
        let numbers = match self.ready.numbers(&event_id) {
            Some(numbers) => numbers,
            None if self.ready.is_unknown(&event_id) => {
                let event = self.rooms.0.interner.new_number(&event_id, &mut self.batch).await?;
                numbers_with(&self.rooms, (&self.snapshot, event), &signed, &mut self.batch).await?
            }
            None => numbers_of(&self.rooms, &self.snapshot, &signed, &mut self.batch).await?,
        };
        self.shelve_key(&signed, numbers);
        let received = match arrival {
            Arrival::Outlier => self.received_outlier(signed, numbers).await?,
            Arrival::New(state) | Arrival::Past(state) => {
                let given = match self.given_state(state).await? {
                    Ok(given) => given,
                    Err(incoming) => return Ok(incoming),
                };
                if let Some(given) = &given {
                    self.shelve_for(&signed, given).await?;
                }
                let place = self.place_of(&event_id, arrival).await?;
                self.received_event(signed, numbers, (place, given.as_deref())).await?
            }
        };
        let receipt = match received {
            Ok(Received::Receipt(receipt)) => *receipt,
            other => return not_kept(other),
        };
        if self.is_lacking && receipt.refused.is_some() && !matches!(arrival, Arrival::Outlier) {
            return Ok(Incoming::Lacking);
        }
        if let Some(outlier) = row {
            self.beside.settled.push(EventNumber(receipt.event.number));
            // What was taken from it stays taken.
            let redacted_by = outlier.redacted_by.map(|redaction| (receipt.event.number, redaction));
            self.beside.redacted_on_arrival.extend(redacted_by);
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
        let known = arrival.known();
        if let Some(row) = row.filter(|row| known.is(row)) {
            return Some(known.answer(row.standing));
        }
        // The same event may come twice in one change.
        let staged = self.staged_event(event_id)?;
        Some(known.answer(standing_row(staged.standing)))
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
        let refused = receipt.refused.clone();
        let event = self.stage(receipt, numbers);
        if event.standing == Standing::Accepted {
            self.handle_redaction(&event).await?;
        }
        if event.standing != Standing::Rejected {
            self.release_redactions(&event).await?;
        }
        Ok(Incoming::Kept(refused))
    }

    /// The row of an event that is stored.
    async fn kept_row(&self, event_id: &EventId) -> Result<Option<EventRow>, ActionError> {
        if let Some(row) = self.ready.row(event_id) {
            return Ok(row);
        }
        match self.snapshot.number_of(&event_id.to_owned()).await? {
            Some(number) => Ok(self.snapshot.get(&EVENTS, &number).await?),
            None => Ok(None),
        }
    }

    /// Reads at once what several events of a change ask for one by one, if it is little: mostly there is nothing.
    pub(crate) async fn read_ahead(&mut self) -> Result<(), ActionError> {
        let limit = READ_AHEAD_MAX.saturating_add(1);
        let prefix = (self.number,);
        let missing = self.snapshot.scan_prefix(&MISSING_PREVS, &prefix, Order::Ascending, limit).await?;
        let waiting =
            self.snapshot.scan_prefix(&WAITING_REDACTIONS, &prefix, Order::Ascending, limit).await?;
        if missing.len() <= READ_AHEAD_MAX && waiting.len() <= READ_AHEAD_MAX {
            let missing_prevs = named_by(missing.into_iter().map(|((_, event_id, by), ())| (event_id, by)));
            let waiting_redactions =
                named_by(waiting.into_iter().map(|((_, event_id, by), ())| (event_id, by)));
            self.beside.read_ahead = Some(ReadAhead { missing_prevs, waiting_redactions });
        }
        Ok(())
    }

    /// The events that follow one that was missing: stored ones, and those staged before it.
    async fn followers_of_missing(&self, event_id: &EventId) -> Result<Vec<EventNumber>, ActionError> {
        let mut followers = self.stored_followers(event_id).await?;
        followers.extend(self.beside.missing_prevs.get(event_id).into_iter().flatten());
        Ok(followers)
    }

    async fn stored_followers(&self, event_id: &EventId) -> Result<Vec<EventNumber>, ActionError> {
        if let Some(known) = &self.beside.read_ahead {
            return Ok(known.missing_prevs.get(event_id).cloned().unwrap_or_default());
        }
        let prefix = (self.number, event_id.to_owned());
        let rows = self.snapshot.scan_prefix(&MISSING_PREVS, &prefix, Order::Ascending, usize::MAX).await?;
        Ok(rows.into_iter().map(|((.., follower), ())| follower).collect())
    }

    /// The redactions that wait for an event.
    pub(super) async fn waiting_redactions(
        &self,
        event_id: &EventId,
    ) -> Result<Vec<EventNumber>, ActionError> {
        if let Some(known) = &self.beside.read_ahead {
            return Ok(known.waiting_redactions.get(event_id).cloned().unwrap_or_default());
        }
        let prefix = (self.number, event_id.to_owned());
        let rows =
            self.snapshot.scan_prefix(&WAITING_REDACTIONS, &prefix, Order::Ascending, usize::MAX).await?;
        Ok(rows.into_iter().map(|((.., redaction), ())| redaction).collect())
    }

    async fn place_of(&self, event_id: &EventId, arrival: Arrival<'_>) -> Result<Place, ActionError> {
        if matches!(arrival, Arrival::Past(_)) {
            return Ok(Place::History);
        }
        let following = self.followers_of_missing(event_id).await?;
        Ok(if following.is_empty() { Place::New } else { Place::Followed })
    }

    /// Notes which events before one are missing, and that this one no longer is.
    async fn note_edges(&mut self, receipt: &Receipt) -> Result<(), ActionError> {
        let event = &receipt.event;
        if event.state_before.is_none() {
            return Ok(());
        }
        let followers = self.followers_of_missing(event.pdu.event_id()).await?;
        // History goes on behind a rejected event, too, if an accepted one follows it.
        let is_of_history = !followers.is_empty();
        for follower in followers {
            let key = (self.number, event.pdu.event_id().to_owned(), follower);
            self.batch.delete(&MISSING_PREVS, &key);
        }
        if event.standing == Standing::Accepted || is_of_history {
            for missing in &receipt.missing_prev {
                let follower = EventNumber(event.number);
                self.batch.put(&MISSING_PREVS, &(self.number, missing.clone(), follower), &());
                self.beside.missing_prevs.entry(missing.clone()).or_default().push(follower);
            }
        }
        Ok(())
    }
}

/// Events by those that they name.
pub(crate) type NamedBy = BTreeMap<OwnedEventId, Vec<EventNumber>>;

fn named_by(rows: impl Iterator<Item = (OwnedEventId, EventNumber)>) -> NamedBy {
    let mut named = NamedBy::new();
    for (event_id, by) in rows {
        named.entry(event_id).or_default().push(by);
    }
    named
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
