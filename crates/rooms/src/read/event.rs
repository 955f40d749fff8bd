//! Stored events.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use freehold_event::Pdu;
use freehold_store::tables::rooms::{
    EVENT_JSON, EVENTS, EventRow, FORGOTTEN, RELATIONS, RelationRow, Standing,
};
use freehold_store::{EventNumber, Order, RoomNumber, TimelineIndex};
use ruma_common::EventId;

use super::{Between, Reader, Unreadable};
use crate::loaded::parse;

/// An event as the store has it: redacted, if it was.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Its number.
    pub number: EventNumber,
    /// What the server knows about it.
    pub row: EventRow,
    /// The event.
    pub pdu: Pdu,
    /// Whether only what a redaction leaves of it is here, because nobody here keeps it any longer.
    pub is_forgotten: bool,
}

impl StoredEvent {
    /// Whether this is the state event of the given type and state key.
    pub fn is_state(&self, event_type: &str, state_key: &str) -> bool {
        self.pdu.event_type() == event_type && self.pdu.state_key() == Some(state_key)
    }

    /// Whether clients may be shown it at all.
    pub fn is_accepted(&self) -> bool {
        self.row.standing == Standing::Accepted
    }

    /// What a redaction leaves of it.
    pub fn redacted(&self) -> StoredEvent {
        StoredEvent { pdu: self.pdu.redacted(), ..self.clone() }
    }

    fn bytes(&self) -> usize {
        // The text, what of it is signed, and the rest.
        self.pdu.canonical_json().len() * 2 + 512
    }
}

impl Reader {
    /// An event by its number.
    ///
    /// # Errors
    /// [`Unreadable`], also when there is no such event.
    pub async fn event(&self, number: EventNumber) -> Result<Arc<StoredEvent>, Unreadable> {
        let found = self.events(&[number]).await?.pop();
        found.ok_or_else(|| Unreadable::damaged("an event is missing"))
    }

    /// An event by its number; `None` when it is not here, as that of an invite to a room that nobody here is in.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn event_if_here(&self, number: EventNumber) -> Result<Option<Arc<StoredEvent>>, Unreadable> {
        match self.snapshot.get(&EVENTS, &number).await? {
            Some(_) => self.event(number).await.map(Some),
            None => Ok(None),
        }
    }

    /// Several events, in the order of their numbers given.
    ///
    /// # Errors
    /// [`Unreadable`], also when one does not exist.
    pub async fn events(&self, numbers: &[EventNumber]) -> Result<Vec<Arc<StoredEvent>>, Unreadable> {
        let mut found: Vec<Option<Arc<StoredEvent>>> =
            numbers.iter().map(|number| self.caches().events.get(number)).collect();
        let missing: Vec<EventNumber> = numbers
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(number, _)| *number)
            .collect();
        if !missing.is_empty() {
            let mut read = self.read_events(&missing).await?.into_iter();
            found.iter_mut().filter(|found| found.is_none()).for_each(|found| *found = read.next());
        }
        Ok(found.into_iter().flatten().collect())
    }

    async fn read_events(&self, numbers: &[EventNumber]) -> Result<Vec<Arc<StoredEvent>>, Unreadable> {
        let missing = || Unreadable::damaged("an event is missing");
        let rows = self.snapshot.rows_of(&EVENTS, numbers).await?;
        let texts = self.snapshot.rows_of(&EVENT_JSON, numbers).await?;
        let mut events = Vec::with_capacity(numbers.len());
        for ((number, row), text) in numbers.iter().zip(rows).zip(texts) {
            let (row, text) = row.zip(text).ok_or_else(missing)?;
            let room = self.room(row.room).await?.ok_or_else(missing)?;
            let pdu = parse(&text, room.version)?;
            let is_forgotten = self.is_forgotten(*number, &row, &pdu).await?;
            let event = Arc::new(StoredEvent { number: *number, pdu, row, is_forgotten });
            let is_current = || self.position().0 >= self.caches().changed_at.load(Ordering::SeqCst);
            self.caches().events.put_if(*number, Arc::clone(&event), event.bytes(), is_current);
            events.push(event);
        }
        Ok(events)
    }

    /// Whether a message was forgotten. It has no content then, which few have that were not.
    async fn is_forgotten(&self, number: EventNumber, row: &EventRow, pdu: &Pdu) -> Result<bool, Unreadable> {
        let may_be = row.state_key.is_none() && row.redacted_by.is_none() && pdu.content() == "{}";
        Ok(may_be && self.snapshot.get(&FORGOTTEN, &number).await?.is_some())
    }

    /// An event of a room by its id; `None` when there is none, or it is of another room, or was not accepted.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn event_of_room(
        &self,
        room: RoomNumber,
        event_id: &EventId,
    ) -> Result<Option<Arc<StoredEvent>>, Unreadable> {
        let Some(number) = self.snapshot.number_of(&event_id.to_owned()).await? else {
            return Ok(None);
        };
        let event = self.event_if_here(number).await?;
        Ok(event.filter(|event| event.row.room == room && event.is_accepted()))
    }

    /// Up to `limit` events that relate to an event of a room, of a part of the timeline: the first ones in ascending order, the
    /// last ones in descending.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn relations(
        &self,
        (room, event): (RoomNumber, EventNumber),
        between: Between,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(TimelineIndex, RelationRow)>, Unreadable> {
        let start = TimelineIndex(between.after.0.saturating_add(1));
        let range = (&(room, event, start), &(room, event, between.before));
        let rows = self.snapshot.scan_range(&RELATIONS, range, order, limit).await?;
        Ok(rows.into_iter().map(|((_, _, index), row)| (index, row)).collect())
    }
}
