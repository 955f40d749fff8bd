//! Garbage collection by reachability.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::codec;
use crate::map::StateMap;
use crate::node::{Body, Branch, LEAF_MAX, read};
use crate::store::{Corruption, LoadError, NodeId, NodeStore, StoreError};

/// A store that garbage can be collected in.
pub trait SweepStore: NodeStore {
    /// The id of every node kept.
    ///
    /// # Errors
    /// The store's own failure, handed through as [`SweepError::List`].
    fn ids(&self) -> Result<Vec<NodeId>, StoreError>;

    /// Forgets a node; forgetting one that is not there is harmless.
    ///
    /// # Errors
    /// The store's own failure, handed through as [`LoadError::Store`].
    fn forget(&mut self, id: &NodeId) -> Result<(), StoreError>;
}

/// What [`collect_garbage`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// How many nodes are still there.
    pub kept: usize,
    /// How many nodes were forgotten.
    pub forgotten: usize,
}

/// Why a garbage collection stopped. Nothing that a root reaches has been forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// A node could not be read or forgotten.
    #[error(transparent)]
    Node(#[from] LoadError),
    /// The store could not list its nodes.
    #[error("the store could not list its nodes")]
    List {
        /// What the store said.
        source: StoreError,
    },
}

/// The nodes that some roots reach.
///
/// Roots can be marked over several steps, for instance a few for each transaction; what two roots
/// share is walked once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reachable {
    ids: BTreeSet<NodeId>,
}

impl Reachable {
    /// Nothing is reached.
    pub const fn new() -> Reachable {
        Reachable { ids: BTreeSet::new() }
    }

    /// Marks `root` and everything below it. Leaves below a branch are marked without reading them.
    ///
    /// # Errors
    /// A node of the map is missing or corrupt. What was marked until then is right; marking again
    /// goes on from there.
    pub fn mark(&mut self, root: NodeId, nodes: &impl NodeStore) -> Result<(), LoadError> {
        if self.ids.contains(&root) || root == StateMap::new().root_id() {
            return Ok(());
        }
        if let Body::Branch(branch) = read(root, nodes)? {
            self.mark_below(&branch, nodes)?;
        }
        self.ids.insert(root);
        Ok(())
    }

    fn mark_below(&mut self, branch: &Branch, nodes: &impl NodeStore) -> Result<(), LoadError> {
        for child in branch.children.iter().flatten() {
            // INVARIANT: no more than `LEAF_MAX` entries are always a leaf.
            if child.summary().len > LEAF_MAX {
                self.mark(child.id(), nodes)?;
            } else {
                self.ids.insert(child.id());
            }
        }
        Ok(())
    }

    /// Whether a marked root reaches this node.
    pub fn contains(&self, id: &NodeId) -> bool {
        self.ids.contains(id)
    }

    /// Number of nodes reached.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether nothing is reached.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// The nodes that a node's bytes name: those below it.
///
/// # Errors
/// The bytes are no node.
pub fn children(bytes: &[u8]) -> Result<Vec<NodeId>, Corruption> {
    Ok(match codec::decode(bytes)? {
        Body::Leaf(_) => Vec::new(),
        Body::Branch(branch) => branch.children.iter().flatten().map(|child| child.id()).collect(),
    })
}

/// How many entries are below a node, by its bytes: always fewer than below a node that names it.
///
/// # Errors
/// The bytes are no node.
pub fn entries_below(bytes: &[u8]) -> Result<usize, Corruption> {
    Ok(match codec::decode(bytes)? {
        Body::Leaf(items) => items.len(),
        Body::Branch(branch) => branch.summary().len,
    })
}

/// Forgets every node that none of `roots` reaches.
///
/// Nothing is forgotten unless all roots could be marked. Parents go before their children, so that
/// an interrupted sweep leaves no node whose children are gone (a later save of equal content would
/// trust it). The store is borrowed for the whole run: a node saved by somebody else between mark
/// and sweep would be lost.
///
/// # Errors
/// See [`SweepError`].
pub fn collect_garbage(
    roots: impl IntoIterator<Item = NodeId>,
    store: &mut impl SweepStore,
) -> Result<Swept, SweepError> {
    let mut live = Reachable::new();
    for root in roots {
        live.mark(root, store)?;
    }
    let mut garbage = Vec::new();
    for id in store.ids().map_err(|source| SweepError::List { source })? {
        if !live.contains(&id) {
            garbage.push((Reverse(len_of(id, store)?), id));
        }
    }
    garbage.sort_unstable();
    for (_, id) in &garbage {
        store.forget(id).map_err(|source| LoadError::Store { id: *id, source })?;
    }
    Ok(Swept { kept: live.len(), forgotten: garbage.len() })
}

/// Number of entries below a node; a parent always has more than its child. What cannot be decoded goes first.
fn len_of(id: NodeId, store: &impl NodeStore) -> Result<usize, LoadError> {
    let bytes = store.get(&id).map_err(|source| LoadError::Store { id, source })?;
    Ok(match bytes.as_deref().map(entries_below) {
        Some(below) => below.unwrap_or(usize::MAX),
        None => 0,
    })
}
