//! Redactions: who may, and what they take.

use std::sync::Arc;

use freehold_event::Pdu;
use freehold_event_auth::{AuthState, NamedLevel, Power};
use freehold_room::{Event, Standing};
use freehold_store::tables::rooms::{EVENT_JSON, EVENTS};
use freehold_store::{Actor, EventNumber};
use ruma_common::{EventId, OwnedEventId, RoomId};

use crate::content;
use crate::error::ActionError;
use crate::loaded::read_event;
use crate::relations::unrelate;
use crate::rooms::Rooms;
use crate::send::{Transaction, event_in_room, tried};
use crate::work::{Wanted, Work};

/// A redaction that a user asks for.
#[derive(Clone, Debug)]
pub struct Redaction {
    /// The event to redact.
    pub event_id: OwnedEventId,
    /// Why, as far as the user says.
    pub reason: Option<String>,
    /// The id by which the device tells a repetition of the request from a new one.
    pub transaction_id: Option<String>,
}

impl Rooms {
    /// Redacts an event of a room; gives the id of the redaction.
    ///
    /// # Errors
    /// [`ActionError`].
    pub async fn redact(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        redaction: Redaction,
    ) -> Result<OwnedEventId, ActionError> {
        tried!(self.try_redact(actor, room_id, &redaction))
    }

    async fn try_redact(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        redaction: &Redaction,
    ) -> Result<OwnedEventId, ActionError> {
        let reason = redaction.reason.as_ref();
        let fields = reason.map(|reason| ("reason".to_owned(), reason.as_str().into()));
        let fields = serde_json::Map::from_iter(fields).into();
        let wanted = |version| {
            Ok(Wanted {
                sender: actor.user_id.clone(),
                event_type: "m.room.redaction".to_owned(),
                state_key: None,
                content: content::made(&fields, version)?,
                redacts: Some(redaction.event_id.clone()),
                origin_server_ts: 0,
            })
        };
        let asked = format!("redact/{}", redaction.event_id);
        let transaction = Transaction::of(actor, asked, redaction.transaction_id.as_deref());
        self.send_once(actor, (room_id, transaction), wanted).await
    }
}

impl Work {
    /// Makes a redaction and applies it.
    ///
    /// # Errors
    /// [`ActionError::UnknownEvent`] when the event is none of the room; [`ActionError::MayNot`] when the user is not
    /// its sender and has not the power to redact.
    pub(crate) async fn redact_event(
        &mut self,
        actor: &Actor,
        target: &EventId,
        wanted: Wanted,
    ) -> Result<Arc<Event>, ActionError> {
        let unknown = || ActionError::UnknownEvent(target.to_owned());
        let number = event_in_room(&self.snapshot, self.number, target).await?.ok_or_else(unknown)?;
        let version = self.machine.version();
        let redacted = read_event(&self.snapshot, version, number).await?;
        let redacted = redacted.filter(|event| event.standing != Standing::Rejected).ok_or_else(unknown)?;
        if redacted.pdu.event_type() == "m.room.create" {
            return Err(ActionError::MayNot("the create event of a room cannot be redacted"));
        }
        let own = redacted.pdu.sender() == actor.user_id;
        if !own && !self.has_power(actor, NamedLevel::Redact) {
            return Err(ActionError::MayNot("you have not the power to redact events of others"));
        }
        let redaction = self.append(&actor.tenant, wanted).await?;
        self.handle_redaction(&redaction).await?;
        Ok(redaction)
    }

    /// Takes from a stored event what a redaction takes.
    pub(crate) async fn apply_redaction(
        &mut self,
        number: EventNumber,
        target: &Pdu,
        redaction: EventNumber,
    ) -> Result<(), ActionError> {
        let row = self.snapshot.get(&EVENTS, &number).await?;
        let Some(row) = row.filter(|row| row.redacted_by.is_none()) else {
            return Ok(());
        };
        let mut redacted = row.clone();
        redacted.redacted_by = Some(redaction);
        self.batch.expect_unchanged(&EVENTS, &number, Some(&row));
        self.batch.put(&EVENTS, &number, &redacted);
        self.batch.put(&EVENT_JSON, &number, &target.redacted().canonical_json().to_owned());
        unrelate(&self.snapshot, &mut self.batch, (&row, target)).await?;
        self.beside.redacted.push((number, redaction));
        Ok(())
    }

    /// Whether a user has a power that the power levels name.
    pub(crate) fn has_power(&self, actor: &Actor, level: NamedLevel) -> bool {
        let levels = self.power_levels();
        self.power(actor.user_id.as_str()) >= Power::Level(levels.level(level))
    }

    /// The power of a user in the current state.
    pub(crate) fn power(&self, user_id: &str) -> Power {
        let facts = self.machine.facts();
        let levels = facts.power_levels().map(|fact| fact.value);
        Power::of_user(user_id, facts.create().map(|fact| fact.value), levels)
    }

    /// The power levels of the current state.
    pub(crate) fn power_levels(&self) -> freehold_event_auth::PowerLevels {
        self.machine.facts().power_levels().map(|fact| fact.value.clone()).unwrap_or_default()
    }
}
