//! Writing a map to a store.

use std::sync::Arc;

use crate::node::{Body, LEAF_MAX, Node, Region};
use crate::store::{LoadError, NodeId, NodeStore};

/// What [`StateMap::save`](crate::StateMap::save) and
/// [`StateMap::save_changes`](crate::StateMap::save_changes) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The id to open the map with.
    pub root: NodeId,
    /// How many nodes were written.
    pub nodes: usize,
    /// How many bytes of nodes were written.
    pub bytes: usize,
}

/// What has been written so far.
#[derive(Default)]
pub(crate) struct Progress {
    nodes: usize,
    bytes: usize,
}

impl Progress {
    pub(crate) const fn done(self, root: NodeId) -> Saved {
        Saved { root, nodes: self.nodes, bytes: self.bytes }
    }

    fn put(&mut self, node: &Node, body: &Body, store: &mut impl NodeStore) -> Result<(), LoadError> {
        let (id, bytes) = node.encode(body);
        store.put(id, &bytes).map_err(|source| LoadError::Store { id, source })?;
        self.nodes = self.nodes.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes.len());
        Ok(())
    }
}

/// Writes what the store lacks, children before parents, so that a store that has a node has
/// everything below it.
pub(crate) fn save_missing(
    node: &Node,
    store: &mut impl NodeStore,
    progress: &mut Progress,
) -> Result<(), LoadError> {
    let id = node.id();
    if store.contains(&id).map_err(|source| LoadError::Store { id, source })? {
        return Ok(());
    }
    let body = node.loaded_body().ok_or(LoadError::Missing { id })?;
    if let Body::Branch(branch) = body {
        for child in branch.children.iter().flatten() {
            save_missing(child, store, progress)?;
        }
    }
    progress.put(node, body, store)
}

/// Writes what is not in the trie of `base`, which the store has; children before parents.
pub(crate) fn save_changes(
    node: &Arc<Node>,
    base: Option<&Arc<Node>>,
    store: &mut impl NodeStore,
    progress: &mut Progress,
) -> Result<(), LoadError> {
    if base.is_some_and(|base| Node::is_same(node, base)) {
        return Ok(());
    }
    let body = node.body(store)?;
    if let Body::Branch(branch) = body {
        for (nibble, child) in branch.children.iter().enumerate() {
            if let Some(child) = child {
                let base =
                    base.map(|base| counterpart(base, branch.region.slot(nibble), store)).transpose()?;
                save_changes(child, base.flatten(), store, progress)?;
            }
        }
    }
    progress.put(node, body, store)
}

/// The top node of the part of `base` that lies in `region`, if there is one.
fn counterpart<'a>(
    base: &'a Arc<Node>,
    region: Region,
    nodes: &impl NodeStore,
) -> Result<Option<&'a Arc<Node>>, LoadError> {
    let mut node = base;
    while node.summary().len > LEAF_MAX {
        match node.body(nodes)? {
            Body::Branch(branch) if branch.region.depth < region.depth => match branch.child(region.prefix) {
                Some(child) if branch.region.contains(region.prefix) => node = child,
                _ => return Ok(None),
            },
            Body::Branch(branch) => return Ok(region.contains_region(&branch.region).then_some(node)),
            // Not met: a leaf holds no more than `LEAF_MAX`.
            Body::Leaf(_) => return Ok(None),
        }
    }
    Ok(Some(node))
}
