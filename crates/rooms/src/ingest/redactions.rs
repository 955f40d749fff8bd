//! Redactions that come before what they redact, and after it.

use std::sync::Arc;

use freehold_room::Event;
use freehold_store::EventNumber;
use freehold_store::tables::rooms::{EVENTS, WAITING_REDACTIONS};
use ruma_common::{EventId, OwnedEventId};

use crate::error::ActionError;
use crate::limits::WAITING_PER_TARGET_MAX;
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
                self.have_wait(target_id, event).await?;
                self.beside.withheld.insert(event.number);
            }
        }
        Ok(())
    }

    /// Has a redaction wait for what it redacts. Whoever is in the room can send any number of them, whatever they may redact: of
    /// many for one event those stay that came first. One of somebody who may redact what everybody sends takes the place of the last.
    async fn have_wait(&mut self, target_id: OwnedEventId, redaction: &Event) -> Result<(), ActionError> {
        let mut waiting = self.waiting_redactions(&target_id).await?;
        // Those of the same change, which are not withheld for anything else.
        let staged = self.beside.redactions.iter().filter(|staged| {
            self.beside.withheld.contains(&staged.number) && redacted_by(staged).as_ref() == Some(&target_id)
        });
        waiting.extend(staged.map(|staged| EventNumber(staged.number)));
        if let Some(last) = waiting.get(WAITING_PER_TARGET_MAX - 1) {
            if !self.computed(|machine, shelf| machine.redacts_others(redaction, shelf)).await? {
                return Ok(());
            }
            self.batch.delete(&WAITING_REDACTIONS, &(self.number, target_id.clone(), *last));
        }
        let key = (self.number, target_id, EventNumber(redaction.number));
        self.batch.put(&WAITING_REDACTIONS, &key, &());
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
