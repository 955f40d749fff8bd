//! Which redactions take effect.

use std::sync::Arc;

use freehold_event_auth::{AuthState as _, NamedLevel, Power, PowerLevels};

use crate::event::{Event, Standing};
use crate::room::{Facts, Room};
use crate::shelf::{Shelf, Stop};

impl Room {
    /// Whether a redaction takes from an event what redactions take, now that both are here
    /// (<https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions>):
    ///
    /// > If both events are valid and have been seen by the server, then the server applies the redaction if one of the
    /// > following conditions is met:
    /// >
    /// > 1. The power level of the redaction event's `sender` is greater than or equal to the *redact level*.
    /// > 2. The domain of the redaction event's `sender` matches that of the original event's `sender`.
    ///
    /// Levels are those of the state before the redaction, by which it was authorised. That state is the same on every
    /// server, whichever of the two events came first and however long the other one took; what the sender may do by now
    /// differs from one server to the next.
    ///
    /// In room versions 1 and 2 the authorisation rules have settled it. A create event stays as it is: rules read it. Nothing
    /// that was said in one room takes effect in another.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn takes_effect(&self, redaction: &Event, target: &Event, shelf: &Shelf) -> Result<bool, Stop> {
        let are_valid = redaction.standing == Standing::Accepted && target.standing != Standing::Rejected;
        let is_of_room = redaction.pdu.room_id() == target.pdu.room_id();
        if !are_valid || !is_of_room || target.pdu.event_type() == "m.room.create" {
            return Ok(false);
        }
        let sender = redaction.pdu.sender();
        let is_settled = self.version.rules().authorization.special_case_room_redaction;
        if is_settled || target.pdu.sender().server_name() == sender.server_name() {
            return Ok(true);
        }
        self.redacts_others(redaction, shelf)
    }

    /// Whether the sender of a redaction may redact what everybody sent, by the state before it: the first of the conditions, which
    /// asks nothing of the event that is redacted.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn redacts_others(&self, redaction: &Event, shelf: &Shelf) -> Result<bool, Stop> {
        let sender = redaction.pdu.sender();
        let facts = self.facts_before(redaction, shelf)?;
        let levels = facts.auth.power_levels().map(|fact| fact.value);
        let power = Power::of_user(sender.as_str(), facts.auth.create().map(|fact| fact.value), levels);
        let level = levels.map_or_else(
            || PowerLevels::default().level(NamedLevel::Redact),
            |levels| levels.level(NamedLevel::Redact),
        );
        Ok(power >= Power::Level(level))
    }

    /// What the state before an event says.
    fn facts_before(&self, event: &Event, shelf: &Shelf) -> Result<Arc<Facts>, Stop> {
        Ok(match event.state_before {
            Some(root) if root == self.state.root_id() => Arc::clone(&self.facts),
            Some(root) => Arc::new(Facts::read(self.version, &shelf.open(root)?, shelf)?),
            None => Arc::new(Facts::none(self.version)),
        })
    }
}
