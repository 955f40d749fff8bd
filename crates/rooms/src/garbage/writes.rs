//! Which nodes of states were written while garbage is looked for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_lock::{RwLock, RwLockReadGuardArc, RwLockWriteGuardArc};
use freehold_state_map::NodeId;

/// How many nodes may be written while garbage is looked for; beyond it, the search is given up.
const FRESH_MAX: usize = 200_000;

/// What writers of rooms tell a search for garbage.
///
/// A node that is garbage may be written again, as the same content has the same name. So whoever writes nodes says which
/// before the batch is handed to the store, and holds `turn` until the store has answered; whoever forgets nodes looks there while
/// nobody else has a turn. A writer who stopped waiting for the store has said it all the same.
#[derive(Debug, Default)]
pub(crate) struct NodeWrites {
    turn: Arc<RwLock<()>>,
    /// The nodes written since a search began; `None` when there is none, or when there were too many.
    fresh: Mutex<Option<BTreeSet<NodeId>>>,
}

/// The turn of somebody who writes nodes.
pub(crate) type Writing = RwLockReadGuardArc<()>;

impl NodeWrites {
    /// Begins to write nodes; to be held until the store has answered.
    pub(crate) async fn begin(&self, nodes: impl IntoIterator<Item = NodeId>) -> Writing {
        let writing = self.turn.read_arc().await;
        let mut fresh = self.fresh();
        if let Some(known) = fresh.as_mut() {
            known.extend(nodes);
            if known.len() > FRESH_MAX {
                *fresh = None;
            }
        }
        writing
    }

    /// Begins to remember what is written; `false` if somebody else did.
    pub(super) fn remember(&self) -> bool {
        let mut fresh = self.fresh();
        let is_first = fresh.is_none();
        fresh.get_or_insert_default();
        is_first
    }

    /// Forgets what was written.
    pub(super) fn forget(&self) {
        *self.fresh() = None;
    }

    /// Waits until nobody writes, and keeps others from it.
    pub(super) async fn alone(&self) -> RwLockWriteGuardArc<()> {
        self.turn.write_arc().await
    }

    /// Those of some nodes that were not written since the search began; `None` when that is not known any more.
    pub(super) fn not_written(&self, nodes: Vec<NodeId>) -> Option<Vec<NodeId>> {
        let fresh = self.fresh();
        let fresh = fresh.as_ref()?;
        Some(nodes.into_iter().filter(|node| !fresh.contains(node)).collect())
    }

    fn fresh(&self) -> MutexGuard<'_, Option<BTreeSet<NodeId>>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
