//! What another server answered about a room, before any of it is believed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use freehold_event::HashedPdu;
use ruma_common::{OwnedEventId, OwnedServerName, ServerName};

use super::BadAnswer;
use crate::limits::{ANSWER_EVENTS_MAX, ANSWER_SERVERS_MAX};

/// What another server answered about a room: well-formed events of the room with what their hashes cover, each once.
/// What is no event of the room is left out.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The events of the state and of its auth chain, but for those that are [taken](Heard::taken).
    pub(crate) events: BTreeMap<OwnedEventId, HashedPdu>,
    /// Which make the state.
    pub(crate) state: Vec<OwnedEventId>,
    /// Events that were taken while others still came.
    pub(crate) taken: BTreeSet<OwnedEventId>,
    /// The `event` of the answer to a join.
    pub(crate) event: Option<Vec<u8>>,
    /// Whether members are left out.
    pub(crate) members_omitted: bool,
    /// Events that could not be verified because nobody told the keys of those who signed them, and those that they authorise.
    pub(crate) lacking: Vec<Lacking>,
    /// How many of its elements are no events of the room.
    pub(crate) unreadable: usize,
    /// The servers that are said to be in the room.
    pub(crate) servers: Vec<OwnedServerName>,
}

/// An event that may hold once keys can be had.
#[derive(Clone, Debug)]
pub(crate) struct Lacking {
    pub(crate) event_id: OwnedEventId,
    pub(crate) json: String,
    pub(crate) is_of_state: bool,
}

impl Heard {
    /// Takes a member of the answer that is none of its lists.
    pub(crate) fn add_member(&mut self, name: &str, json: Vec<u8>) {
        match name {
            "event" => self.event = Some(json),
            "members_omitted" => self.members_omitted = json.trim_ascii() == b"true",
            _ => {}
        }
    }

    /// Takes the name of a server that is said to be in the room.
    ///
    /// # Errors
    /// [`BadAnswer::TooLarge`].
    pub(crate) fn add_server(&mut self, json: &[u8]) -> Result<(), BadAnswer> {
        if self.servers.len() >= ANSWER_SERVERS_MAX {
            return Err(BadAnswer::TooLarge { what: "servers", limit: ANSWER_SERVERS_MAX as u64 });
        }
        let name: Option<String> = serde_json::from_slice(json).ok();
        self.servers.extend(name.and_then(|name| ServerName::parse(name).ok()));
        Ok(())
    }

    /// Takes an event of the room; gives whether it came for the first time. Otherwise the first counts.
    ///
    /// # Errors
    /// [`BadAnswer::TooLarge`].
    pub(crate) fn add_event(&mut self, event: HashedPdu, is_of_state: bool) -> Result<bool, BadAnswer> {
        let event_id = event.pdu().event_id().to_owned();
        if is_of_state {
            self.state.push(event_id.clone());
        }
        if self.state.len() > ANSWER_EVENTS_MAX || self.events.len() + self.taken.len() >= ANSWER_EVENTS_MAX {
            return Err(BadAnswer::TooLarge { what: "events", limit: ANSWER_EVENTS_MAX as u64 });
        }
        if self.taken.contains(&event_id) {
            return Ok(false);
        }
        match self.events.entry(event_id) {
            Entry::Vacant(place) => {
                place.insert(event);
                Ok(true)
            }
            Entry::Occupied(_) => Ok(false),
        }
    }

    /// Events of it were taken, and need not be looked at again.
    pub(crate) fn were_taken(&mut self, event_ids: Vec<OwnedEventId>) {
        for event_id in event_ids {
            self.events.remove(&event_id);
            self.taken.insert(event_id);
        }
    }

    /// The events in an order in which each comes after those of them that it names as its authorisation. Events that
    /// name each other in a circle, and what builds on them, are left out.
    pub(crate) fn by_authority(&self) -> Vec<OwnedEventId> {
        let mut waits: BTreeMap<&OwnedEventId, usize> = BTreeMap::new();
        let mut waiting: BTreeMap<&OwnedEventId, Vec<&OwnedEventId>> = BTreeMap::new();
        let mut ready = Vec::new();
        for (event_id, event) in &self.events {
            let named = event.pdu().auth_events().iter().filter(|named| self.events.contains_key(*named));
            let mut count = 0;
            for named in named {
                waiting.entry(named).or_default().push(event_id);
                count += 1;
            }
            if count == 0 {
                ready.push(event_id);
            } else {
                waits.insert(event_id, count);
            }
        }
        let mut ordered = Vec::with_capacity(self.events.len());
        while let Some(event_id) = ready.pop() {
            ordered.push(event_id.clone());
            for next in waiting.remove(event_id).into_iter().flatten() {
                if let Some(count) = waits.get_mut(next) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(next);
                    }
                }
            }
        }
        ordered
    }
}
