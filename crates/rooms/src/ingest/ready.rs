//! What is asked of the store for many events at once, before each of them is looked at.

use std::collections::{BTreeMap, BTreeSet};

use freehold_room::Numbers;
use freehold_signing::SignedPdu;
use freehold_store::tables::rooms::{EVENTS, EventRow};
use freehold_store::{EventNumber, StateKeyNumber};
use ruma_common::{EventId, OwnedEventId, OwnedUserId};

use crate::error::ActionError;
use crate::work::Work;

/// What was asked of the store for events that are about to be received.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    events: BTreeMap<OwnedEventId, ReadyEvent>,
    /// Events that the store does not know at all.
    unknown: BTreeSet<OwnedEventId>,
}

#[derive(Debug)]
struct ReadyEvent {
    numbers: Numbers,
    /// Of an event that is stored.
    row: Option<EventRow>,
}

impl Ready {
    /// The numbers of an event.
    pub(crate) fn numbers(&self, event_id: &EventId) -> Option<Numbers> {
        self.events.get(event_id).map(|event| event.numbers)
    }

    /// The row of an event, if it has one; the outer `None` when the store was not asked.
    pub(crate) fn row(&self, event_id: &EventId) -> Option<Option<EventRow>> {
        if self.is_unknown(event_id) {
            return Some(None);
        }
        self.events.get(event_id).map(|event| event.row.clone())
    }

    /// Whether the store was asked for an event and does not know it.
    pub(crate) fn is_unknown(&self, event_id: &EventId) -> bool {
        self.unknown.contains(event_id)
    }
}

impl Work {
    /// Asks the store at once which of some events it does not know at all. None gets a number by that.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn look_for(
        &mut self,
        events: impl Iterator<Item = &SignedPdu>,
    ) -> Result<(), ActionError> {
        let ids: Vec<OwnedEventId> = events.map(|event| event.pdu().event_id().to_owned()).collect();
        let numbers = self.snapshot.numbers_of(&ids).await?;
        let unknown = ids.into_iter().zip(numbers).filter(|(_, number)| number.is_none());
        self.ready.unknown.extend(unknown.map(|(event_id, _)| event_id));
        Ok(())
    }

    /// Asks the store about many events at once. What follows is the same without it, one question after the other.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn prepare(&mut self, events: &[SignedPdu]) -> Result<(), ActionError> {
        self.prepare_users(events).await?;
        self.prepare_references(events).await?;
        let interner = self.rooms.0.interner.clone();
        let keys: BTreeSet<(String, String)> = events.iter().filter_map(state_key).collect();
        let keys: Vec<(String, String)> = keys.into_iter().collect();
        let numbers = interner.numbers_of(&self.snapshot, &keys, &mut self.batch).await?;
        for (key, StateKeyNumber(number)) in keys.into_iter().zip(numbers) {
            self.shelf.put_state_key(key, Some(number));
        }
        let ids: Vec<OwnedEventId> = events.iter().map(|event| event.pdu().event_id().to_owned()).collect();
        let numbers = interner.numbers_of(&self.snapshot, &ids, &mut self.batch).await?;
        let rows = self.snapshot.rows_of(&EVENTS, &numbers).await?;
        for ((event, event_id), (EventNumber(number), row)) in
            events.iter().zip(ids).zip(numbers.into_iter().zip(rows))
        {
            let state_key = match event.pdu().state_key() {
                Some(state_key) => self.shelf.state_key(event.pdu().event_type(), state_key)?,
                None => None,
            };
            let numbers = Numbers { event: number, state_key };
            self.ready.events.insert(event_id, ReadyEvent { numbers, row });
        }
        Ok(())
    }

    async fn prepare_users(&mut self, events: &[SignedPdu]) -> Result<(), ActionError> {
        let users: BTreeSet<OwnedUserId> =
            events.iter().map(|event| event.pdu().sender().to_owned()).collect();
        let users: Vec<OwnedUserId> = users.into_iter().collect();
        let interner = self.rooms.0.interner.clone();
        let numbers = interner.numbers_of(&self.snapshot, &users, &mut self.batch).await?;
        self.beside.users.extend(users.into_iter().zip(numbers));
        Ok(())
    }

    /// Puts on the shelf which of the events that these name are known.
    async fn prepare_references(&mut self, events: &[SignedPdu]) -> Result<(), ActionError> {
        let named = events.iter().flat_map(|event| {
            let pdu = event.pdu();
            pdu.auth_events().iter().chain(pdu.prev_events())
        });
        let named: BTreeSet<&OwnedEventId> = named.collect();
        let named: Vec<OwnedEventId> = named.into_iter().cloned().collect();
        let numbers = self.snapshot.numbers_of(&named).await?;
        let known: Vec<EventNumber> = numbers.iter().flatten().copied().collect();
        let rows = self.snapshot.rows_of(&EVENTS, &known).await?;
        let are_kept: BTreeMap<EventNumber, bool> =
            known.into_iter().zip(rows.iter().map(Option::is_some)).collect();
        for (event_id, number) in named.into_iter().zip(numbers) {
            let kept = number.filter(|number| are_kept.get(number) == Some(&true));
            self.shelf.put_number(event_id, kept.map(|number| number.0));
        }
        Ok(())
    }
}

fn state_key(event: &SignedPdu) -> Option<(String, String)> {
    let pdu = event.pdu();
    Some((pdu.event_type().to_owned(), pdu.state_key()?.to_owned()))
}
