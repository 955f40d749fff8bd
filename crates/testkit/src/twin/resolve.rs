//! State resolution of every room version.

use std::collections::BTreeSet;

use super::{
    Algorithm, Denied, Differences, State, Walk, auth::create_by_room_id, check, resolve_v1, resolve_v2,
    selection,
};
use crate::event::{Events, RoomEvent, StateMap};

/// What a resolution came to, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The resolved state.
    pub state: StateMap,
    /// The events that the iterative auth checks ignored, in the order they were tried.
    pub dropped: Vec<Dropped>,
    /// The *full conflicted set* (version 1: the conflicting events).
    pub full_conflicted_set: BTreeSet<String>,
    /// The list of step 1, in reverse topological power ordering.
    pub power_order: Vec<String>,
    /// The list of step 3, in mainline ordering.
    pub mainline_order: Vec<String>,
}

/// An event that was ignored because the authorisation rules do not allow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The event.
    pub event_id: String,
    /// Why.
    pub denied: Denied,
}

/// Resolves the given states with the algorithm of the room version, as the network does it
/// ([`Walk::Deployed`]).
///
/// No state gives no state; one state, or several equal ones, give that state.
pub fn resolve(version: &Differences, states: &[StateMap], events: &Events) -> Resolved {
    resolve_as(version, states, events, Walk::Deployed)
}

/// [`resolve`], with a choice of how step 1 of the algorithms 2.0 and 2.1 is read.
pub fn resolve_as(version: &Differences, states: &[StateMap], events: &Events, walk: Walk) -> Resolved {
    match version.algorithm {
        Algorithm::V1 => resolve_v1::resolve(version, states, events),
        Algorithm::V2 | Algorithm::V2_1 => resolve_v2::resolve(version, states, events, walk),
    }
}

/// "The *auth chain* of an event *E* is the set containing all of *E*'s auth events, all of
/// *their* auth events, and so on recursively, stretching back to the start of the room."
///
/// Events that are not known end the walk.
pub fn auth_chain(event_id: &str, events: &Events) -> BTreeSet<String> {
    let mut chain = BTreeSet::new();
    let mut to_visit = vec![event_id];
    while let Some(event) = to_visit.pop().and_then(|id| events.get(id)) {
        for auth_event_id in &event.auth_events {
            if events.contains_key(auth_event_id) && chain.insert(auth_event_id.clone()) {
                to_visit.push(auth_event_id);
            }
        }
    }
    chain
}

/// Whether an event is allowed by the authorisation rules for a room in the given state. "If a
/// `(event_type, state_key)` key that is required for checking the authorisation rules is not
/// present in the state, then the appropriate state event from the event's `auth_events` is used
/// if the auth event is not rejected."
pub(super) fn check_in_state(
    version: &Differences,
    event: &RoomEvent,
    state: &StateMap,
    events: &Events,
) -> Result<(), Denied> {
    let auth_events: Vec<&RoomEvent> = event.auth_events.iter().filter_map(|id| events.get(id)).collect();
    let mut needed = State::new();
    for key in selection(event, version) {
        let present = state.get(&key).and_then(|id| events.get(id));
        let cited =
            || auth_events.iter().copied().find(|auth| auth.is_state(&key.0, &key.1) && !auth.rejected);
        if let Some(found) = present.or_else(cited) {
            needed.insert(key, found);
        }
    }
    // Version 12: the create event is in the state by way of the room id.
    if version.creators_rule
        && let Some(create) = create_by_room_id(event, events)
    {
        needed.insert(("m.room.create".to_owned(), String::new()), create);
    }
    check(event, &needed, version)
}
