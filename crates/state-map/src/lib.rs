//! Persistent, structurally shared, content-addressed snapshots of room state.
//!
//! ```
//! use freehold_state_map::{Entry, NoStore, StateMap};
//!
//! let before: StateMap = (0..100).map(|key| (key, Entry { event: 1_000 + key, generation: 1 })).collect();
//! let mut after = before.clone();
//! after.insert(7, Entry { event: 2_000, generation: 2 }, &NoStore)?;
//!
//! let changes = before.diff(&after, &NoStore)?;
//! assert_eq!(changes.len(), 1);
//! assert_eq!(changes[0].key, 7);
//! # Ok::<(), freehold_state_map::LoadError>(())
//! ```

mod diff;
mod map;
mod store;

pub use diff::{Change, Differences};
pub use map::{Entry, StateMap};
pub use store::{LoadError, MemoryStore, NoStore, NodeId, NodeStore, StoreError};
