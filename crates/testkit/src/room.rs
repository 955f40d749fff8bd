//! A room that somebody made up: its events, and the forks of its state.

use std::collections::BTreeMap;

use freehold_event::RoomVersion;

use crate::{
    event::{Events, StateMap},
    seal::ServerKeys,
};

/// A made-up room.
#[derive(Clone, Debug)]
pub struct Room {
    /// The room version.
    pub version: &'static RoomVersion,
    /// The room id.
    pub room_id: String,
    /// The id of the create event.
    pub create_event_id: String,
    /// The events.
    pub events: Events,
    /// The ids of the events in the order in which they were made: parents before children.
    pub order: Vec<String>,
    /// The states to be resolved: those after the events that have no children, and more.
    pub forks: Vec<StateMap>,
    /// The event after which each of [`Room::forks`] is the state.
    pub fork_heads: Vec<String>,
    /// The state after each event.
    pub states: BTreeMap<String, StateMap>,
    /// The signing keys of the servers, empty in rooms made without signatures.
    pub keys: ServerKeys,
}

impl Room {
    /// The events in the order in which they were made.
    pub fn events_in_order(&self) -> impl Iterator<Item = &crate::RoomEvent> {
        self.order.iter().filter_map(|id| self.events.get(id))
    }

    /// The sets of states that had to be resolved to make this room: [`Room::forks`], and the
    /// states after the `prev_events` of every event that has several.
    pub fn resolutions(&self) -> Vec<Vec<StateMap>> {
        let merges = self.events_in_order().filter(|event| event.prev_events.len() > 1);
        let merges = merges
            .map(|event| event.prev_events.iter().filter_map(|id| self.states.get(id)).cloned().collect());
        std::iter::once(self.forks.clone()).chain(merges).collect()
    }
}
