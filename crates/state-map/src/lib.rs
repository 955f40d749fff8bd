//! Persistent, structurally shared, content-addressed snapshots of room state.
//!
//! A snapshot maps interned (type, state key) pairs to state events: both are numbers that the
//! caller hands out. A server keeps one snapshot for each event of a room, and all of them together
//! take the space of the *changes*:
//!
//! - changing a key copies one path of at most a few small nodes; everything else is shared
//!   ([`StateMap::insert`]),
//! - two snapshots, or any number of them, are compared in the time of what differs
//!   ([`StateMap::diff`], [`StateMap::differences`]),
//! - the same content has the same root id, whatever its history ([`StateMap::root_id`]),
//! - a stored snapshot is opened without reading it, and operations load the paths they need
//!   ([`StateMap::open`]),
//! - every subtree knows its greatest generation, so that state resolution can ask for the events
//!   with the longest auth chains first and stop ([`StateMap::highest_first`]).
//!
//! # What it does not do
//!
//! It interns nothing, opens no file, starts no thread, and keeps no cache beyond the nodes that a map has
//! loaded. It does not know what an event is: a generation is whatever the caller says.
//!
//! # Where to start
//!
//! [`StateMap`] is the snapshot; [`NodeStore`] is the small trait through which its nodes are kept.
//! [`collect_garbage`] forgets the nodes that no snapshot needs.
//!
//! ```
//! use freehold_state_map::{Entry, MemoryStore, NoStore, StateMap};
//!
//! // The state of a room with a hundred members, and the state after one of them changed.
//! let before: StateMap = (0..100).map(|key| (key, Entry { event: 1_000 + key, generation: 1 })).collect();
//! let mut after = before.clone();
//! after.insert(7, Entry { event: 2_000, generation: 2 }, &NoStore)?;
//!
//! let changes = before.diff(&after, &NoStore)?;
//! assert_eq!(changes.len(), 1);
//! assert_eq!(changes[0].key, 7);
//!
//! // Both are stored; the second costs only what changed.
//! let mut store = MemoryStore::new();
//! let whole = before.save(&mut store)?;
//! let change = after.save_changes(&before, &mut store)?;
//! assert!(change.bytes < whole.bytes);
//!
//! // Later: open, and read one path.
//! let opened = StateMap::open(change.root, &store)?;
//! assert_eq!(opened.get(7, &store)?, Some(Entry { event: 2_000, generation: 2 }));
//! assert_eq!(opened, after);
//! # Ok::<(), freehold_state_map::LoadError>(())
//! ```
//!
//! # The trie
//!
//! A radix trie over the sixteen nibbles of a key, with compressed paths and with leaves of up to
//! 32 entries. Its shape is a function of the content alone: 32 entries or fewer are one leaf, more
//! are a branch at the first nibble in which their keys differ.

mod codec;
mod diff;
mod edit;
mod gc;
mod map;
mod node;
mod save;
mod store;
mod walk;

pub use diff::{Change, Differences};
pub use gc::{Reachable, SweepError, SweepStore, Swept, children, collect_garbage, entries_below};
pub use map::{Entry, StateMap};
pub use save::Saved;
pub use store::{Corruption, LoadError, MemoryStore, NoStore, NodeId, NodeStore, StoreError};
