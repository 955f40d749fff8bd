//! [State resolution of room version 1](https://spec.matrix.org/v1.19/rooms/v1/#state-resolution).

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest, Sha1};

use super::{
    Differences, State, check,
    resolve::{Dropped, Resolved},
    selection,
};
use crate::event::{Events, RoomEvent, StateKey, StateMap};

/// "The *resolution* of a set of states is defined as follows. The resolved state is built up in a
/// number of passes; here we use *R* to refer to the results of the resolution so far."
pub(super) fn resolve(version: &Differences, states: &[StateMap], events: &Events) -> Resolved {
    // "A *conflict* occurs between states where those states have different `event_ids` for the
    // same `(event_type, state_key)`." A key that some states lack is no conflict.
    let mut candidates: BTreeMap<StateKey, BTreeSet<String>> = BTreeMap::new();
    for (key, event_id) in states.iter().flatten() {
        candidates.entry(key.clone()).or_default().insert(event_id.clone());
    }
    let (settled, conflicts): (BTreeMap<_, _>, _) =
        candidates.into_iter().partition(|(_, ids)| ids.len() == 1);
    // "Start by setting *R* to the union of the states to be resolved, excluding any
    // *conflicting* events."
    let mut passes = Passes { version, events, conflicts, resolved: Resolved::default() };
    passes.resolved.state =
        settled.into_iter().flat_map(|(key, ids)| ids.into_iter().map(move |id| (key.clone(), id))).collect();
    passes.resolved.full_conflicted_set = passes.conflicts.values().flatten().cloned().collect();
    // "First we resolve conflicts between `m.room.power_levels` events."
    passes.pass(|key| key.0 == "m.room.power_levels" && key.1.is_empty());
    // "Repeat the above process for conflicts between `m.room.join_rules` events."
    passes.pass(|key| key.0 == "m.room.join_rules");
    // "Repeat the above process for conflicts between `m.room.member` events."
    passes.pass(|key| key.0 == "m.room.member");
    passes.pick_others();
    passes.resolved
}

struct Passes<'a> {
    version: &'a Differences,
    events: &'a Events,
    conflicts: BTreeMap<StateKey, BTreeSet<String>>,
    resolved: Resolved,
}

impl Passes<'_> {
    /// One pass over the conflicts of one event type. Each key is resolved by itself against *R*
    /// as it was before the pass, as the reference implementation does: the outcome for one user
    /// does not hang on the order in which the users are taken.
    fn pass(&mut self, of_this_pass: impl Fn(&StateKey) -> bool) {
        let before = self.resolved.state.clone();
        let keys: Vec<StateKey> = self.conflicts.keys().filter(|key| of_this_pass(key)).cloned().collect();
        for key in keys {
            let list = self.take_sorted(&key);
            if let Some(chosen) = self.last_allowed(&key, &list, &before) {
                self.resolved.state.insert(key, chosen);
            }
        }
    }

    /// "Assemble all the events from the states to be resolved into a list. Sort the list by
    /// ascending `depth` then descending `sha1(event_id)`."
    fn take_sorted(&mut self, key: &StateKey) -> Vec<RoomEvent> {
        let ids = self.conflicts.remove(key).unwrap_or_default();
        let mut list: Vec<RoomEvent> = ids.iter().filter_map(|id| self.events.get(id)).cloned().collect();
        list.sort_by(|a, b| a.depth.cmp(&b.depth).then_with(|| sha1(&b.event_id).cmp(&sha1(&a.event_id))));
        list
    }

    fn last_allowed(&mut self, key: &StateKey, list: &[RoomEvent], before: &StateMap) -> Option<String> {
        let mut room = before.clone();
        let (first, others) = list.split_first()?;
        // "Add the first event in the list to *R*."
        room.insert(key.clone(), first.event_id.clone());
        // "For each subsequent event in the list, check that the event would be allowed by the
        // authorisation rules for a room in state *R*. If the event would be allowed, then update
        // *R* with the event and continue with the next event in the list. If it would not be
        // allowed, stop and continue below."
        for event in others {
            if !self.allows(event, &room) {
                break;
            }
            room.insert(key.clone(), event.event_id.clone());
        }
        room.remove(key)
    }

    /// "No other events affect the authorisation rules, so for all other conflicts, just pick the
    /// event with the highest depth and lowest `sha1(event_id)` that passes authentication in *R*
    /// and add it to *R*."
    ///
    /// When none passes, the reference implementation takes the one with the least depth.
    fn pick_others(&mut self) {
        let room = self.resolved.state.clone();
        let keys: Vec<StateKey> = self.conflicts.keys().cloned().collect();
        for key in keys {
            let mut list = self.take_sorted(&key);
            list.reverse();
            let allowed = list.iter().find(|event| self.allows(event, &room));
            if let Some(chosen) = allowed.or(list.last()) {
                self.resolved.state.insert(key, chosen.event_id.clone());
            }
        }
    }

    /// "Allowed by the authorisation rules for a room in state *R*": by that state alone. Falling
    /// back on the event's own `auth_events` came with version 2.0.
    fn allows(&mut self, event: &RoomEvent, room: &StateMap) -> bool {
        let mut needed = State::new();
        for key in selection(event, self.version) {
            if let Some(found) = room.get(&key).and_then(|id| self.events.get(id)) {
                needed.insert(key, found);
            }
        }
        match check(event, &needed, self.version) {
            Ok(()) => true,
            Err(denied) => {
                self.resolved.dropped.push(Dropped { event_id: event.event_id.clone(), denied });
                false
            }
        }
    }
}

fn sha1(event_id: &str) -> Vec<u8> {
    Sha1::digest(event_id.as_bytes()).to_vec()
}
