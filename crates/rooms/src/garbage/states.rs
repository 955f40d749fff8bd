//! Nodes of states that no event and no room refers to.
//!
//! Marking follows every root that one snapshot shows; what is not reached then is forgotten, parents before children, so that a
//! crash in between leaves no node that lacks another. What was written since the snapshot stays, whether it is new or garbage that
//! was made again.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use freehold_state_map::{LoadError, NodeId, NodeStore, Reachable, StateMap, StoreError, entries_below};
use freehold_store::tables::rooms::{EVENTS, STATE_HISTORY, STATE_NODES};
use freehold_store::{Batch, EventNumber, Position, RoomNumber, Snapshot};

use crate::error::ActionError;
use crate::rooms::Rooms;

/// How many rows a step looks at.
const PAGE: usize = 128;
/// How many nodes are forgotten with one batch.
const FORGOTTEN_TOGETHER: usize = 128;
/// How many nodes are forgotten in one search; the next one goes on. The largest come first, so no child goes before its parent.
const GARBAGE_MAX: usize = 50_000;

/// A search for nodes that nobody needs. Whoever drops it gives it up; what was forgotten until then stays forgotten.
#[derive(Debug)]
pub struct StateGarbage {
    rooms: Rooms,
    snapshot: Snapshot,
    phase: Phase,
    live: Reachable,
    nodes_max: usize,
    /// The nodes found, with how many entries each has below it: the least is at the top.
    found: BinaryHeap<Reverse<(usize, NodeId)>>,
    collected: CollectedStates,
}

/// What came of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectedStates {
    /// How many nodes are needed.
    pub live: usize,
    /// How many nodes were forgotten.
    pub forgotten: usize,
    /// Whether it was given up, because there are too many nodes for it or too many were written meanwhile.
    pub given_up: bool,
}

#[derive(Debug)]
enum Phase {
    /// Marks what the rows of events refer to, those after this one.
    Events(Option<EventNumber>),
    /// Marks the current states and their history.
    History(Option<(RoomNumber, Position)>),
    /// Looks for what is not marked, after this node.
    Nodes(Option<[u8; NodeId::LEN]>),
    /// Forgets it, largest first.
    Sweep(Vec<NodeId>),
}

impl Rooms {
    /// Begins to look for nodes of states that nobody needs; `None` if somebody else does. It takes about 40 bytes for each of up
    /// to `nodes_max` nodes.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state_garbage(&self, nodes_max: usize) -> Result<Option<StateGarbage>, ActionError> {
        if !self.0.node_writes.remember() {
            return Ok(None);
        }
        let begun = self.begin_garbage(nodes_max).await;
        if begun.is_err() {
            self.0.node_writes.forget();
        }
        begun.map(Some)
    }

    async fn begin_garbage(&self, nodes_max: usize) -> Result<StateGarbage, ActionError> {
        // Who wrote before this began is through now; and so is what they handed to the store without waiting for the answer,
        // because batches are committed in order.
        drop(self.0.node_writes.alone().await);
        self.0.store.commit(Batch::new()).await?;
        Ok(StateGarbage {
            rooms: self.clone(),
            snapshot: self.0.store.snapshot()?,
            phase: Phase::Events(None),
            live: Reachable::new(),
            nodes_max,
            found: BinaryHeap::new(),
            collected: CollectedStates::default(),
        })
    }
}

impl StateGarbage {
    /// Does a bounded piece of the work; what came of the search when that was the last one.
    ///
    /// # Errors
    /// Those of the store, and damaged states: then nothing that is needed was forgotten.
    pub async fn step(&mut self) -> Result<Option<CollectedStates>, ActionError> {
        self.collected.live = self.live.len();
        if self.live.len() > self.nodes_max {
            return Ok(Some(CollectedStates { given_up: true, ..self.collected }));
        }
        match std::mem::replace(&mut self.phase, Phase::Sweep(Vec::new())) {
            Phase::Events(after) => self.mark_events(after).await?,
            Phase::History(after) => self.mark_history(after).await?,
            Phase::Nodes(after) => self.list(after).await?,
            Phase::Sweep(garbage) => return self.sweep(garbage).await,
        }
        Ok(None)
    }

    async fn mark_events(&mut self, after: Option<EventNumber>) -> Result<(), ActionError> {
        let rows = self.snapshot.scan_after(&EVENTS, after.as_ref(), PAGE).await?;
        let last = rows.last().map(|(number, _)| *number);
        for root in rows.into_iter().filter_map(|(_, row)| row.state_before) {
            self.mark(root).await?;
        }
        self.phase = last.map_or(Phase::History(None), |last| Phase::Events(Some(last)));
        Ok(())
    }

    /// The newest entry of the history of a room is its current state.
    async fn mark_history(&mut self, after: Option<(RoomNumber, Position)>) -> Result<(), ActionError> {
        let rows = self.snapshot.scan_after(&STATE_HISTORY, after.as_ref(), PAGE).await?;
        let last = rows.last().map(|(key, _)| *key);
        for (_, root) in rows {
            self.mark(root).await?;
        }
        self.phase = last.map_or(Phase::Nodes(None), |last| Phase::History(Some(last)));
        Ok(())
    }

    async fn mark(&mut self, root: [u8; NodeId::LEN]) -> Result<(), ActionError> {
        let mut read = Read(BTreeMap::new());
        loop {
            match self.live.mark(NodeId::from_bytes(root), &read) {
                Ok(()) => return Ok(()),
                Err(LoadError::Missing { id }) if !read.0.contains_key(&id) => {
                    let bytes = self.snapshot.get(&STATE_NODES, id.as_bytes()).await?;
                    let bytes = bytes.ok_or_else(|| ActionError::damaged("a node of a state is missing"))?;
                    read.0.insert(id, bytes);
                }
                Err(error) => return Err(ActionError::Damaged(Box::new(error))),
            }
        }
    }

    async fn list(&mut self, after: Option<[u8; NodeId::LEN]>) -> Result<(), ActionError> {
        let rows = self.snapshot.scan_after(&STATE_NODES, after.as_ref(), PAGE).await?;
        let last = rows.last().map(|(id, _)| *id);
        for (id, bytes) in rows {
            let node = NodeId::from_bytes(id);
            // The state without entries is written with each new room, and read by none.
            if !self.live.contains(&node) && node != StateMap::new().root_id() {
                self.found.push(Reverse((entries_below(&bytes).unwrap_or(usize::MAX), node)));
            }
            if self.found.len() > GARBAGE_MAX {
                self.found.pop();
            }
        }
        self.phase = match last {
            Some(last) => Phase::Nodes(Some(last)),
            // From here on only what is forgotten is held.
            None => Phase::Sweep(self.least_first()),
        };
        Ok(())
    }

    fn least_first(&mut self) -> Vec<NodeId> {
        self.live = Reachable::new();
        let sorted = std::mem::take(&mut self.found).into_sorted_vec();
        // `Reverse` sorts the largest first; those are taken from the end.
        sorted.into_iter().rev().map(|Reverse((_, node))| node).collect()
    }

    async fn sweep(&mut self, mut garbage: Vec<NodeId>) -> Result<Option<CollectedStates>, ActionError> {
        let next = garbage.split_off(garbage.len().saturating_sub(FORGOTTEN_TOGETHER));
        if next.is_empty() {
            return Ok(Some(self.collected));
        }
        let _alone = self.rooms.0.node_writes.alone().await;
        let Some(mut next) = self.rooms.0.node_writes.not_written(next) else {
            return Ok(Some(CollectedStates { given_up: true, ..self.collected }));
        };
        // The largest is the last.
        next.reverse();
        let mut batch = Batch::new();
        next.iter().for_each(|node| batch.delete(&STATE_NODES, node.as_bytes()));
        self.rooms.0.store.commit(batch).await?;
        self.collected.forgotten += next.len();
        self.phase = Phase::Sweep(garbage);
        Ok(None)
    }
}

impl Drop for StateGarbage {
    fn drop(&mut self) {
        self.rooms.0.node_writes.forget();
    }
}

/// Nodes that were read.
struct Read(BTreeMap<NodeId, Vec<u8>>);

impl NodeStore for Read {
    fn get(&self, id: &NodeId) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        Ok(self.0.get(id).map(|bytes| Cow::Borrowed(bytes.as_slice())))
    }

    fn put(&mut self, id: NodeId, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.insert(id, bytes.to_vec());
        Ok(())
    }
}
