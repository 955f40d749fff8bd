//! The states of a room: snapshots keyed by numbers.

use std::collections::BTreeMap;

use freehold_state_map::{Entry, StateMap};

use crate::room::{Event, Room};

/// A number for every (type, state key) of a room.
#[derive(Debug)]
pub(crate) struct StateKeys {
    numbers: BTreeMap<String, BTreeMap<String, u64>>,
    names: Vec<(String, String)>,
}

impl StateKeys {
    pub(crate) fn of(room: &Room) -> StateKeys {
        let mut keys = StateKeys { numbers: BTreeMap::new(), names: Vec::new() };
        for event in &room.events {
            if let Some(state_key) = event.pdu().state_key() {
                keys.intern(event.pdu().event_type(), state_key);
            }
        }
        keys
    }

    fn intern(&mut self, event_type: &str, state_key: &str) {
        let next = self.names.len() as u64;
        let of_type = self.numbers.entry(event_type.to_owned()).or_default();
        if !of_type.contains_key(state_key) {
            of_type.insert(state_key.to_owned(), next);
            self.names.push((event_type.to_owned(), state_key.to_owned()));
        }
    }

    /// The number of a key, if some event of the room has it.
    pub(crate) fn number(&self, event_type: &str, state_key: &str) -> Option<u64> {
        self.numbers.get(event_type)?.get(state_key).copied()
    }

    /// Type and state key of a number.
    pub(crate) fn name(&self, number: u64) -> (&str, &str) {
        let name = usize::try_from(number).ok().and_then(|index| self.names.get(index));
        name.map_or(("?", "?"), |(event_type, state_key)| (event_type, state_key))
    }

    /// The entry that an event makes in a state.
    pub(crate) fn entry(&self, event: &Event) -> Option<(u64, Entry)> {
        let key = self.number(event.pdu().event_type(), event.pdu().state_key()?)?;
        Some((key, Entry { event: event.number, generation: event.generation }))
    }

    /// The entries of a state by type and state key, in that order.
    pub(crate) fn sorted<'a>(&'a self, state: &StateMap) -> BTreeMap<(&'a str, &'a str), u64> {
        entries(state).map(|(key, entry)| (self.name(key), entry.event)).collect()
    }
}

/// The entries of a state that lives in memory.
pub(crate) fn entries(state: &StateMap) -> impl Iterator<Item = (u64, Entry)> + '_ {
    // Nothing can be missing: no part of it was ever stored.
    state.iter(&freehold_state_map::NoStore).filter_map(Result::ok)
}

/// One entry of a state that lives in memory.
pub(crate) fn get(state: &StateMap, key: u64) -> Option<u64> {
    state.get(key, &freehold_state_map::NoStore).ok().flatten().map(|entry| entry.event)
}
