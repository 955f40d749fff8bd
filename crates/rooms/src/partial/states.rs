//! States that lack members, and the same with them.

use std::collections::BTreeMap;

use freehold_room::{Shelf, Stop, nodes_beside};
use freehold_state_map::{NodeId, StateMap};
use freehold_store::tables::rooms::STATE_NODES;

use crate::error::ActionError;
use crate::work::Work;

/// The state before a join as it was told at first, as it is, and what follows from that for others.
pub(super) struct States {
    pub(super) told: StateMap,
    pub(super) whole: StateMap,
    moved: BTreeMap<NodeId, Option<NodeId>>,
}

impl States {
    pub(super) fn new(told: StateMap, whole: StateMap) -> Self {
        let moved = BTreeMap::from([(told.root_id(), Some(whole.root_id()))]);
        States { told, whole, moved }
    }
}

impl Work {
    /// The root of a state as it is with all members; `None` for one with nothing in it. Its nodes are in the batch.
    pub(super) async fn moved(
        &mut self,
        root: NodeId,
        states: &mut States,
    ) -> Result<Option<NodeId>, ActionError> {
        if let Some(moved) = states.moved.get(&root) {
            return Ok(*moved);
        }
        let (told, whole) = (states.told.clone(), states.whole.clone());
        let moved = self.computed(|_, shelf| moved(&told, &whole, shelf.open(root)?, shelf)).await?;
        if let Some(state) = &moved {
            self.save(state, &whole).await?;
        }
        let moved = moved.map(|state| state.root_id());
        states.moved.insert(root, moved);
        Ok(moved)
    }

    /// Puts the nodes of a state into the batch that another one does not have.
    pub(super) async fn save(&mut self, state: &StateMap, base: &StateMap) -> Result<(), ActionError> {
        for (id, bytes) in self.computed(|_, shelf| nodes_beside(state, base, shelf)).await? {
            self.batch.put(&STATE_NODES, id.as_bytes(), &bytes);
            self.shelf.put_node(id, bytes);
            self.beside.nodes.push(id);
        }
        Ok(())
    }
}

/// A state with the changes by which another one differs from what was told; `None` for one with nothing in it, which is of before
/// everything.
fn moved(
    told: &StateMap,
    whole: &StateMap,
    other: StateMap,
    shelf: &Shelf,
) -> Result<Option<StateMap>, Stop> {
    if other.is_empty() {
        return Ok(None);
    }
    let mut moved = whole.clone();
    for change in told.diff(&other, &shelf.nodes())? {
        match change.new {
            Some(entry) => moved.insert(change.key, entry, &shelf.nodes())?,
            None => moved.remove(change.key, &shelf.nodes())?,
        };
    }
    Ok(Some(moved))
}
