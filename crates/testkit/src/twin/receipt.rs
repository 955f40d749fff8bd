//! The checks on receipt that concern authorisation.

use super::{Denied, Differences, State, auth::create_by_room_id, check, check_auth_events};
use crate::event::{Events, RoomEvent, StateMap};

/// What becomes of an event on receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Accepted,
    /// Check 4: it fails the rules "based on the event's auth events".
    RejectedByAuthEvents(Denied),
    /// Check 5: it fails the rules "based on the state before the event".
    RejectedByState(Denied),
}

/// Checks 4 and 5 of the
/// [checks on receipt](https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu).
pub fn receive(event: &RoomEvent, before: &StateMap, events: &Events, version: &Differences) -> Verdict {
    // "4. Passes authorisation rules based on the event's auth events, otherwise it is rejected."
    let by_auth_events = check_auth_events(event, events, version)
        .and_then(|()| check(event, &auth_state(event, events, version), version));
    if let Err(denied) = by_auth_events {
        return Verdict::RejectedByAuthEvents(denied);
    }
    // "5. Passes authorisation rules based on the state before the event, otherwise it is
    // rejected."
    let before: State<'_> =
        before.iter().filter_map(|(key, id)| Some((key.clone(), events.get(id)?))).collect();
    match check(event, &before, version) {
        Ok(()) => Verdict::Accepted,
        Err(denied) => Verdict::RejectedByState(denied),
    }
}

/// The room state that consists of an event's auth events, and of the create event.
fn auth_state<'a>(event: &RoomEvent, events: &'a Events, version: &Differences) -> State<'a> {
    let mut cited: Vec<&RoomEvent> = event.auth_events.iter().filter_map(|id| events.get(id)).collect();
    if version.creators_rule {
        cited.extend(create_by_room_id(event, events));
    }
    cited.into_iter().filter_map(|auth_event| Some((auth_event.state_map_key()?, auth_event))).collect()
}
