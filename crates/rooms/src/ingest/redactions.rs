//! Redactions that come before what they redact, and after it.

use std::sync::Arc;

use freehold_room::Event;
use freehold_store::EventNumber;
use freehold_store::tables::rooms::{EVENTS, WAITING_REDACTIONS};
use ruma_common::{EventId, OwnedEventId};

use crate::error::ActionError;
use crate::loaded::read_event;
use crate::send::event_in_room;
use crate::work::Work;

/// What a redaction is about, if it is here.
enum Target {
    /// It came with the same change.
    Staged(Arc<Event>),
    Stored(Arc<Event>),
    Missing,
}

impl Work {
    /// Applies a redaction, if it is one and what it redacts is here; withholds it from clients otherwise
    /// (<https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions>).
    pub(crate) async fn handle_redaction(&mut self, event: &Arc<Event>) -> Result<(), ActionError> {
        let Some(target_id) = redacted_by(event) else {
            return Ok(());
        };
        let redaction = EventNumber(event.number);
        match self.target(&target_id).await? {
            Target::Staged(target) if self.takes_effect(event, &target).await? => {
                self.beside.redacted_on_arrival.insert(target.number, redaction);
            }
            Target::Stored(target) if self.takes_effect(event, &target).await? => {
                self.apply_redaction(EventNumber(target.number), &target.pdu, redaction).await?;
            }
            Target::Staged(_) | Target::Stored(_) => {
                self.beside.withheld.insert(event.number);
            }
            Target::Missing => {
                self.beside.withheld.insert(event.number);
                self.batch.put(&WAITING_REDACTIONS, &(self.number, target_id, redaction), &());
            }
        }
        Ok(())
    }

    async fn target(&self, event_id: &EventId) -> Result<Target, ActionError> {
        if let Some(staged) = self.staged_event(event_id) {
            return Ok(Target::Staged(staged));
        }
        let Some(number) = event_in_room(&self.snapshot, self.number, event_id).await? else {
            return Ok(Target::Missing);
        };
        let stored = read_event(&self.snapshot, self.machine.version(), number).await?;
        Ok(stored.map_or(Target::Missing, |stored| Target::Stored(Arc::new(stored))))
    }

    /// Applies the redactions that waited for an event, and shows them now.
    pub(crate) async fn release_redactions(&mut self, event: &Arc<Event>) -> Result<(), ActionError> {
        let event_id = event.pdu.event_id().to_owned();
        // Those that came just before it.
        let redactions = self.beside.redactions.iter();
        let redactions = redactions.filter(|redaction| redacted_by(redaction).as_ref() == Some(&event_id));
        for redaction in redactions.cloned().collect::<Vec<_>>() {
            if self.takes_effect(&redaction, event).await? {
                self.batch.delete(
                    &WAITING_REDACTIONS,
                    &(self.number, event_id.clone(), EventNumber(redaction.number)),
                );
                self.beside.withheld.remove(&redaction.number);
                self.beside.redacted_on_arrival.insert(event.number, EventNumber(redaction.number));
            }
        }
        for redaction in self.waiting_redactions(&event_id).await? {
            self.batch.delete(&WAITING_REDACTIONS, &(self.number, event_id.clone(), redaction));
            let Some(stored) = read_event(&self.snapshot, self.machine.version(), redaction).await? else {
                continue;
            };
            let row = self.snapshot.get(&EVENTS, &redaction).await?;
            if let Some(row) = row
                && self.takes_effect(&stored, event).await?
            {
                self.beside.redacted_on_arrival.insert(event.number, redaction);
                self.beside.released.push((redaction, row));
            }
        }
        Ok(())
    }

    /// An event that is staged.
    pub(super) fn staged_event(&self, event_id: &EventId) -> Option<Arc<Event>> {
        if !self.beside.staged_ids.contains(event_id) {
            return None;
        }
        let mut staged = self.staged.iter().rev();
        let found = staged.find(|receipt| receipt.event.pdu.event_id() == event_id)?;
        Some(Arc::clone(&found.event))
    }

    async fn takes_effect(&mut self, redaction: &Event, target: &Event) -> Result<bool, ActionError> {
        self.computed(|machine, shelf| machine.takes_effect(redaction, target, shelf)).await
    }
}

/// The event that a redaction is about.
fn redacted_by(event: &Event) -> Option<OwnedEventId> {
    let target = event.pdu.redacts().filter(|_| event.pdu.event_type() == "m.room.redaction")?;
    EventId::parse(target).ok()
}
