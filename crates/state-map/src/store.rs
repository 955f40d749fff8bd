//! Where the nodes of a snapshot are kept: their names, the trait of a store, and what may go wrong.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::gc::SweepStore;

/// Name of a node: the first 20 bytes of the SHA-256 of its serialised form.
///
/// Two maps hold the same entries exactly when their roots have the same id.
///
/// 160 bits keep the table of a branch small (it holds up to sixteen of these), and a deliberate collision
/// would still cost 2^80 hash computations, over bytes in which a stranger chooses nothing: keys,
/// events and generations are numbers that the caller hands out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; NodeId::LEN]);

impl NodeId {
    /// Length in bytes.
    pub const LEN: usize = 20;

    /// The id with these bytes, as a store gives them back.
    pub const fn from_bytes(bytes: [u8; NodeId::LEN]) -> NodeId {
        NodeId(bytes)
    }

    /// The name of the node with this serialised form: what a store checks its bytes against.
    pub fn of(bytes: &[u8]) -> NodeId {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _] = digest;
        NodeId(id)
    }

    /// The bytes under which a store files the node.
    pub const fn as_bytes(&self) -> &[u8; NodeId::LEN] {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// What a store says when it cannot do its work; the store's own error.
pub type StoreError = Box<dyn Error + Send + Sync>;

/// A place that keeps serialised nodes by their id.
///
/// The store is a parameter of every operation that may have to read: maps hold no reference to it,
/// so a map outlives the transaction that loaded it. An asynchronous store can answer `Ok(None)`
/// for what it has not fetched, fetch the id named by [`LoadError::Missing`], and call again: nodes
/// that were loaded stay loaded.
pub trait NodeStore {
    /// The serialised node with this id, or `None` when the store does not have it.
    ///
    /// # Errors
    /// The store's own failure, handed through as [`LoadError::Store`].
    fn get(&self, id: &NodeId) -> Result<Option<Cow<'_, [u8]>>, StoreError>;

    /// Keeps `bytes` under `id`; keeping the same node twice is harmless.
    ///
    /// # Errors
    /// The store's own failure, handed through as [`LoadError::Store`].
    fn put(&mut self, id: NodeId, bytes: &[u8]) -> Result<(), StoreError>;

    /// Whether the store has the node, and with it everything below it.
    ///
    /// # Errors
    /// The store's own failure, handed through as [`LoadError::Store`].
    fn contains(&self, id: &NodeId) -> Result<bool, StoreError> {
        Ok(self.get(id)?.is_some())
    }
}

/// The store of maps that live in memory only: it holds nothing and keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStore;

impl NodeStore for NoStore {
    fn get(&self, _: &NodeId) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        Ok(None)
    }

    fn put(&mut self, _: NodeId, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A store in memory, for tests and tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    nodes: BTreeMap<NodeId, Vec<u8>>,
}

impl MemoryStore {
    /// A store without nodes.
    pub const fn new() -> MemoryStore {
        MemoryStore { nodes: BTreeMap::new() }
    }

    /// Every node kept, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &[u8])> {
        self.nodes.iter().map(|(id, bytes)| (id, bytes.as_slice()))
    }
}

impl NodeStore for MemoryStore {
    fn get(&self, id: &NodeId) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        Ok(self.nodes.get(id).map(|bytes| Cow::Borrowed(bytes.as_slice())))
    }

    fn put(&mut self, id: NodeId, bytes: &[u8]) -> Result<(), StoreError> {
        self.nodes.entry(id).or_insert_with(|| bytes.to_vec());
        Ok(())
    }
}

impl SweepStore for MemoryStore {
    fn ids(&self) -> Result<Vec<NodeId>, StoreError> {
        Ok(self.nodes.keys().copied().collect())
    }

    fn forget(&mut self, id: &NodeId) -> Result<(), StoreError> {
        self.nodes.remove(id);
        Ok(())
    }
}

/// Why an operation on a map could not go on.
///
/// A map that was built in memory and never stored gives none of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The map refers to a node that the store does not have (the store's fault, or not fetched yet).
    #[error("node `{id}` is not in the store")]
    Missing {
        /// The node that was asked for.
        id: NodeId,
    },
    /// The store has other bytes than were put there (the store's fault).
    #[error("node `{id}` is corrupt: {what}")]
    Corrupt {
        /// The node that was asked for.
        id: NodeId,
        /// What is wrong with it.
        what: Corruption,
    },
    /// The store failed.
    #[error("the store failed at node `{id}`")]
    Store {
        /// The node that was being read or written.
        id: NodeId,
        /// What the store said.
        source: StoreError,
    },
}

/// What is wrong with the bytes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// They do not have the hash that they are filed under.
    #[error("its bytes have another hash")]
    Hash,
    /// They are no node.
    #[error("its bytes are no node")]
    Format,
    /// They are a node that is not written for any content.
    #[error("no content has a node of this shape")]
    Shape,
    /// The node does not hold what its parent says of it.
    #[error("its parent says something else of it")]
    Misplaced,
}
