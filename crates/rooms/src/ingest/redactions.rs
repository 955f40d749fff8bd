//! Redactions that come before what they redact, and after it.

use std::sync::Arc;

use freehold_event_auth::{NamedLevel, Power};
use freehold_room::{Event, Standing};
use freehold_store::EventNumber;
use freehold_store::tables::rooms::{EVENTS, WAITING_REDACTIONS};
use ruma_common::{EventId, OwnedEventId, UserId};

use crate::error::ActionError;
use crate::loaded::read_event;
use crate::send::event_in_room;
use crate::work::Work;

impl Work {
    /// Applies a redaction, if it is one and what it redacts is here; withholds it from clients otherwise
    /// (<https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions>).
    pub(super) async fn handle_redaction(&mut self, event: &Arc<Event>) -> Result<(), ActionError> {
        let Some(target) = redacted_by(event) else {
            return Ok(());
        };
        if let Some(staged) = self.staged_event(&target) {
            match staged.standing == Standing::Accepted && self.may_redact(event.pdu.sender(), &staged) {
                true => {
                    self.beside.redacted_on_arrival.insert(staged.number, EventNumber(event.number)).is_none()
                }
                false => self.beside.withheld.insert(event.number),
            };
            return Ok(());
        }
        let number = event_in_room(&self.snapshot, self.number, &target).await?;
        let stored = match number {
            Some(number) => read_event(&self.snapshot, self.machine.version(), number).await?,
            None => None,
        };
        match stored.zip(number).filter(|(stored, _)| stored.standing == Standing::Accepted) {
            Some((stored, number)) if self.may_redact(event.pdu.sender(), &stored) => {
                self.apply_redaction(number, &stored.pdu, EventNumber(event.number)).await
            }
            Some(_) => {
                self.beside.withheld.insert(event.number);
                Ok(())
            }
            None => {
                self.beside.withheld.insert(event.number);
                self.batch.put(&WAITING_REDACTIONS, &(target, EventNumber(event.number)), &());
                Ok(())
            }
        }
    }

    /// Applies the redactions that waited for an event, and shows them now.
    pub(super) async fn release_redactions(&mut self, event: &Arc<Event>) -> Result<(), ActionError> {
        let event_id = event.pdu.event_id().to_owned();
        // Those that came just before it.
        let redactions = self.beside.redactions.iter();
        let redactions = redactions.filter(|redaction| redacted_by(redaction).as_ref() == Some(&event_id));
        for redaction in redactions.cloned().collect::<Vec<_>>() {
            if redaction.standing == Standing::Accepted && self.may_redact(redaction.pdu.sender(), event) {
                self.batch.delete(&WAITING_REDACTIONS, &(event_id.clone(), EventNumber(redaction.number)));
                self.beside.withheld.remove(&redaction.number);
                self.beside.redacted_on_arrival.insert(event.number, EventNumber(redaction.number));
            }
        }
        for redaction in self.waiting_redactions(&event_id).await? {
            self.batch.delete(&WAITING_REDACTIONS, &(event_id.clone(), redaction));
            let Some(stored) = read_event(&self.snapshot, self.machine.version(), redaction).await? else {
                continue;
            };
            let row = self.snapshot.get(&EVENTS, &redaction).await?;
            if let Some(row) = row.filter(|_| self.may_redact(stored.pdu.sender(), event)) {
                self.beside.redacted_on_arrival.insert(event.number, redaction);
                self.beside.released.push((redaction, row));
            }
        }
        Ok(())
    }

    fn staged_event(&self, event_id: &EventId) -> Option<Arc<Event>> {
        let mut staged = self.staged.iter().rev();
        let found = staged.find(|receipt| receipt.event.pdu.event_id() == event_id)?;
        Some(Arc::clone(&found.event))
    }

    /// > 1. The power level of the redaction event's `sender` is greater than or equal to the *redact level*.
    /// > 2. The domain of the redaction event's `sender` matches that of the original event's `sender`.
    ///
    /// In room versions 1 and 2 the authorisation rules have settled it.
    fn may_redact(&self, sender: &UserId, target: &Event) -> bool {
        self.machine.version().rules().authorization.special_case_room_redaction
            || target.pdu.sender().server_name() == sender.server_name()
            || self.power(sender.as_str()) >= Power::Level(self.power_levels().level(NamedLevel::Redact))
    }
}

/// The event that a redaction is about.
fn redacted_by(event: &Event) -> Option<OwnedEventId> {
    let target = event.pdu.redacts().filter(|_| event.pdu.event_type() == "m.room.redaction")?;
    EventId::parse(target).ok()
}
