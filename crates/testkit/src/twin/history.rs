//! The state of the room before and after each event.

use std::collections::BTreeMap;

use super::{Differences, resolve};
use crate::event::{Events, RoomEvent, StateMap};

/// "The room state *S′(E)* after an event *E* is defined in terms of the room state *S(E)* before
/// *E*": *S(E)* with the event's entry replaced when it is a state event. Of a rejected event:
/// "the state used in the checks should be calculated as normal, except not updating with the
/// rejected event where it is a state event".
pub fn state_after(event: &RoomEvent, before: &StateMap) -> StateMap {
    let mut after = before.clone();
    if let Some(key) = event.state_map_key().filter(|_| !event.rejected) {
        after.insert(key, event.event_id.clone());
    }
    after
}

/// The state after each event of a room, as far as it was asked for.
#[derive(Clone, Debug)]
pub struct History {
    version: Differences,
    after: BTreeMap<String, StateMap>,
    before: BTreeMap<Vec<String>, StateMap>,
}

impl History {
    /// No events yet.
    pub fn new(version: Differences) -> Self {
        Self { version, after: BTreeMap::new(), before: BTreeMap::new() }
    }

    /// "The room state *S(E)* before *E* is the *resolution* of the set of states
    /// {*S′(E1)*, *S′(E2)*, …} after the `prev_event`s {*E1*, *E2*, …} of *E*."
    ///
    /// Events that were not recorded are left out.
    pub fn state_before(&mut self, prev_events: &[String], events: &Events) -> StateMap {
        let mut key = prev_events.to_vec();
        key.sort();
        if let Some(known) = self.before.get(&key) {
            return known.clone();
        }
        let states: Vec<StateMap> = key.iter().filter_map(|id| self.after.get(id)).cloned().collect();
        let before = resolve(&self.version, &states, events).state;
        self.before.insert(key, before.clone());
        before
    }

    /// Records an event, with its verdict already in `rejected`, and the state before it.
    pub fn record(&mut self, event: &RoomEvent, before: &StateMap) {
        self.after.insert(event.event_id.clone(), state_after(event, before));
    }

    /// The state after an event that was recorded.
    pub fn after(&self, event_id: &str) -> Option<&StateMap> {
        self.after.get(event_id)
    }
}
