//! What keeping the state of a room takes when memberships change: ours by way of the crate that keeps it, Synapse's
//! by what its tables grow.

use std::sync::Arc;

use freehold_state_map::{Entry, MemoryStore, StateMap};
use serde_json::{Value, json};

use crate::http::Outcome;
use crate::pace::{Bound, closed};
use crate::person::Person;
use crate::synapse::{StateStored, Synapse};

/// So many memberships, and so many changes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) members: usize,
    pub(crate) changes: usize,
}

/// What Synapse was asked for, and how long each half may take.
pub(crate) const SCALED_DOWN: Size = Size { members: 1_000, changes: 1_000 };
const HALF_SECONDS: u64 = 75;

/// What must be reached is said of this.
pub(crate) const LARGE: Size = Size { members: 10_000, changes: 10_000 };

/// What was measured of Synapse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerState {
    /// How much was done in the time.
    pub(crate) size: Size,
    /// What the changes added.
    pub(crate) added: StateStored,
    /// The bytes that [`LARGE`] takes in its database, if that was filled to see.
    pub(crate) large: Option<f64>,
}

/// With each node goes its key, and with each event the root before it and a row of the history of roots.
const NODE_KEY_BYTES: usize = 32;
const EVENT_BYTES: usize = (1 + 32) + (8 + 8 + 32);
/// State of a room beside its memberships.
const OTHER_ENTRIES: u64 = 10;

/// Bytes that the changes add to our tables, every state being kept.
pub(crate) fn ours(size: Size) -> Outcome<f64> {
    let mut store = MemoryStore::default();
    let mut map = StateMap::new();
    let entries = size.members as u64 + OTHER_ENTRIES;
    for key in 0..entries {
        map.insert(key, Entry { event: key, generation: key }, &store).map_err(|error| error.to_string())?;
    }
    map.save(&mut store).map_err(|error| error.to_string())?;
    let mut bytes = 0;
    for change in 0..size.changes as u64 {
        // A stride that is prime to the number of members: each is met, in no order.
        let key = OTHER_ENTRIES + change * 7_919 % size.members as u64;
        let before = map.clone();
        let entry = Entry { event: entries + change, generation: entries + change };
        map.insert(key, entry, &store).map_err(|error| error.to_string())?;
        let saved = map.save_changes(&before, &mut store).map_err(|error| error.to_string())?;
        bytes += saved.bytes + saved.nodes * NODE_KEY_BYTES + EVENT_BYTES;
    }
    Ok(bytes as f64)
}

/// Bans as many users as there shall be memberships, then takes bans back: bans need no accounts, and a membership is
/// an entry of the state whatever it says.
pub(crate) async fn synapse(synapse: &Synapse) -> Outcome<PeerState> {
    let server = &synapse.server;
    let moderator = Person::register(&server.http, &server.host, "moderator").await?;
    let room_id: Arc<str> = moderator.create_room("public_chat").await?.into();
    eprintln!("{}: memberships", server.name);
    let members = moderate(&moderator, &room_id, "ban", SCALED_DOWN.members).await?;
    let before = synapse.state_stored()?;
    eprintln!("{}: changes of memberships", server.name);
    let changes = moderate(&moderator, &room_id, "unban", SCALED_DOWN.changes.min(members)).await?;
    let after = synapse.state_stored()?;
    let added = StateStored {
        states: after.states - before.states,
        entries: after.entries - before.entries,
        rows: after.rows - before.rows,
    };
    if changes == 0 {
        return Err("no membership was changed in the time".into());
    }
    let large = synapse.states_by_rule(LARGE, DELTAS as usize)?;
    Ok(PeerState { size: Size { members, changes }, added, large })
}

async fn moderate(
    moderator: &Person,
    room_id: &Arc<str>,
    action: &'static str,
    count: usize,
) -> Outcome<usize> {
    let (moderator, room_id) = (moderator.clone(), room_id.clone());
    let bound = Bound { count, seconds: HALF_SECONDS };
    let done = closed(4, bound, move |_, number| {
        let (moderator, room_id) = (moderator.clone(), room_id.clone());
        async move {
            let member = format!("@member{number:04}:{}", moderator.host());
            moderator.moderate(&room_id, action, &member).await
        }
    });
    Ok(done.await?.0.count())
}

/// After so many deltas Synapse writes a state in full (`MAX_STATE_DELTA_HOPS` in its `databases/state/store.py`).
const DELTAS: f64 = 100.0;

impl PeerState {
    /// The bytes that the changes added.
    pub(crate) fn bytes(&self) -> f64 {
        self.added.states + self.added.entries
    }

    /// The bytes that another number of changes in another room would add: rows by Synapse's own rule, each of the
    /// size that was measured.
    pub(crate) fn scaled_to(&self, size: Size) -> f64 {
        let (changes, rows) = (size.changes as f64, self.rows_by_rule(size));
        self.added.states / self.size.changes as f64 * changes + self.added.entries / self.added.rows * rows
    }

    /// How many rows of entries a number of changes in a room adds: one for each, and the whole state for each that ends
    /// a chain of deltas.
    pub(crate) fn rows_by_rule(&self, size: Size) -> f64 {
        let changes = size.changes as f64;
        changes + changes / DELTAS * size.members as f64
    }

    pub(crate) fn to_json(self) -> Value {
        json!({
            "members": self.size.members, "changes": self.size.changes, "bytes_added": self.bytes(),
            "bytes_of_entries": self.added.entries, "entries": self.added.rows,
            "entries_by_rule": self.rows_by_rule(self.size), "bytes_of_10000_changes_among_10000_members": self.large,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_follows_deltas_and_full_states() {
        let added = StateStored { states: 300_000.0, entries: 1_100_000.0, rows: 11_000.0 };
        let peer = PeerState { size: SCALED_DOWN, added, large: None };
        assert!((peer.scaled_to(SCALED_DOWN) - 1_400_000.0).abs() < 1.0);
        assert!((peer.scaled_to(Size { members: 10_000, changes: 10_000 }) - 104_000_000.0).abs() < 1.0);
    }

    #[test]
    fn every_state_of_ours_is_paid_for() {
        let one = ours(Size { members: 100, changes: 1 }).unwrap();
        let hundred = ours(Size { members: 100, changes: 100 }).unwrap();
        assert!(one > EVENT_BYTES as f64 && hundred > 45.0 * one);
    }
}
