//! The map itself.

use std::fmt;
use std::sync::Arc;

use crate::diff::{self, Change, Differences};
use crate::edit::{self, Edit};
use crate::node::Node;
use crate::save::{self, Progress, Saved};
use crate::store::{LoadError, NodeId, NodeStore};
use crate::walk::{self, HighestFirst, Iter};

/// What a snapshot holds for one key: the state event, and how deep its auth chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The caller's number for the event.
    pub event: u64,
    /// Length of the longest path along `auth_events` from the event to one that has none.
    pub generation: u64,
}

/// A snapshot of a room's state: a persistent map from an interned (type, state key) to an [`Entry`].
///
/// Cloning is cheap and shares everything; changing a clone copies one path. Equality is equality of content.
///
/// Operations that may meet a node that is still in a store take the store as their last parameter; for a map
/// that was built in memory that is [`NoStore`](crate::NoStore), and nothing can go wrong.
#[derive(Clone)]
pub struct StateMap {
    root: Arc<Node>,
}

impl StateMap {
    /// The map without entries.
    pub fn new() -> StateMap {
        StateMap { root: Node::empty() }
    }

    /// The map that was saved with this root. Reads the root now, and every other node when it is needed.
    /// The map without entries needs not have been saved.
    ///
    /// # Errors
    /// The root is missing or corrupt.
    pub fn open(root: NodeId, nodes: &impl NodeStore) -> Result<StateMap, LoadError> {
        let empty = StateMap::new();
        if root == empty.root_id() {
            return Ok(empty);
        }
        Ok(StateMap { root: Node::open(root, nodes)? })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.root.summary().len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The greatest generation of an entry, or `None` for the empty map.
    pub fn max_generation(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.root.summary().max_generation)
    }

    /// The name of this content: two maps hold the same entries exactly when their roots have the same id.
    ///
    /// Hashes the nodes that have not been hashed before: after a change, one path.
    pub fn root_id(&self) -> NodeId {
        self.root.id()
    }

    /// The entry of `key`.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn get(&self, key: u64, nodes: &impl NodeStore) -> Result<Option<Entry>, LoadError> {
        edit::get(&self.root, key, nodes)
    }

    /// Sets the entry of `key` and gives back what was there. Clones of the map are not affected.
    ///
    /// # Errors
    /// See [`LoadError`]; the map is then unchanged.
    pub fn insert(
        &mut self,
        key: u64,
        entry: Entry,
        nodes: &impl NodeStore,
    ) -> Result<Option<Entry>, LoadError> {
        let old = self.get(key, nodes)?;
        if old != Some(entry) {
            self.root = edit::insert(&self.root, Edit { key, old, new: entry }, nodes)?;
        }
        Ok(old)
    }

    /// Removes the entry of `key` and gives back what was there. Clones of the map are not affected.
    ///
    /// # Errors
    /// See [`LoadError`]; the map is then unchanged.
    pub fn remove(&mut self, key: u64, nodes: &impl NodeStore) -> Result<Option<Entry>, LoadError> {
        let old = self.get(key, nodes)?;
        if old.is_some() {
            self.root = edit::remove(&self.root, key, nodes)?;
        }
        Ok(old)
    }

    /// Every entry in the order of keys. The iterator ends after the first error.
    pub fn iter<'a>(
        &'a self,
        nodes: &'a impl NodeStore,
    ) -> impl Iterator<Item = Result<(u64, Entry), LoadError>> + 'a {
        Iter::new(&self.root, nodes)
    }

    /// The nodes that the store does not have and that are reached by way of those it has: what an asynchronous store is
    /// to fetch next, all at once, for [`StateMap::iter`] to come to its end. Asked and fetched once for each level of
    /// the map, there are none.
    ///
    /// # Errors
    /// See [`LoadError`]; never [`LoadError::Missing`].
    pub fn missing(&self, nodes: &impl NodeStore) -> Result<Vec<NodeId>, LoadError> {
        walk::missing(&self.root, nodes)
    }

    /// The entries whose generation is greater than `above` (all of them for `None`), highest
    /// generation first and by key among equals. Only subtrees that hold such an entry are visited,
    /// and only as far as the iterator is read. The iterator ends after the first error.
    pub fn highest_first<'a>(
        &'a self,
        above: Option<u64>,
        nodes: &'a impl NodeStore,
    ) -> impl Iterator<Item = Result<(u64, Entry), LoadError>> + 'a {
        HighestFirst::new(&self.root, above, nodes)
    }

    /// What changes from `self` to `newer`, in the order of keys. Costs the paths to the changes,
    /// not the size of the maps, when one was made from the other or both were hashed or stored.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn diff(&self, newer: &StateMap, nodes: &impl NodeStore) -> Result<Vec<Change>, LoadError> {
        let differences = StateMap::differences(&[self, newer], nodes)?;
        let change = |(key, row): (u64, &[Option<Entry>])| match row {
            [old, new] => Some(Change { key, old: *old, new: *new }),
            _ => None,
        };
        Ok(differences.iter().filter_map(change).collect())
    }

    /// The keys whose entry is not the same in all of `maps`, with the entry of each map, in the order of keys.
    /// Costs the same as [`diff`](StateMap::diff), for each map.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn differences(maps: &[&StateMap], nodes: &impl NodeStore) -> Result<Differences, LoadError> {
        diff::differences(maps.iter().map(|map| &map.root), nodes)
    }

    /// Writes every node that `store` does not have, and says which root to open the map with later.
    ///
    /// Asks the store for each node that it may lack; [`save_changes`](StateMap::save_changes) does not. The map without
    /// entries is known by its id, and never written.
    ///
    /// # Errors
    /// The store failed, or a part of this map was never loaded from another store.
    pub fn save(&self, store: &mut impl NodeStore) -> Result<Saved, LoadError> {
        let mut progress = Progress::default();
        if !self.is_empty() {
            save::save_missing(&self.root, store, &mut progress)?;
        }
        Ok(progress.done(self.root_id()))
    }

    /// Writes what changed since `base`, a map that `store` has: the usual way to store the state
    /// after an event.
    ///
    /// # Errors
    /// The store failed, or (when `base` was not in it) a node is missing.
    pub fn save_changes(&self, base: &StateMap, store: &mut impl NodeStore) -> Result<Saved, LoadError> {
        let mut progress = Progress::default();
        if !self.is_empty() {
            save::save_changes(&self.root, Some(&base.root), store, &mut progress)?;
        }
        Ok(progress.done(self.root_id()))
    }
}

impl Default for StateMap {
    fn default() -> StateMap {
        StateMap::new()
    }
}

impl PartialEq for StateMap {
    fn eq(&self, other: &StateMap) -> bool {
        self.len() == other.len()
            && (Node::is_same(&self.root, &other.root) || self.root_id() == other.root_id())
    }
}

impl Eq for StateMap {}

impl fmt::Debug for StateMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMap").field("root", &self.root_id()).field("len", &self.len()).finish()
    }
}

/// Builds the map of these entries; the last one of a key wins.
impl FromIterator<(u64, Entry)> for StateMap {
    fn from_iter<I: IntoIterator<Item = (u64, Entry)>>(entries: I) -> StateMap {
        let mut items: Vec<(u64, Entry)> = entries.into_iter().collect();
        // Stable, so that among entries of one key the last one stays last.
        items.sort_by_key(|(key, _)| *key);
        items.reverse();
        items.dedup_by_key(|(key, _)| *key);
        items.reverse();
        StateMap { root: Node::build(&items) }
    }
}
