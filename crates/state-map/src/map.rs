//! The map itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diff::{Change, Differences};
use crate::store::{LoadError, NodeStore};

/// What a snapshot holds for one key: the state event, and how deep its auth chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The caller's number for the event.
    pub event: u64,
    /// Length of the longest path along `auth_events` from the event to one that has none.
    pub generation: u64,
}

/// A snapshot of a room's state: a persistent map from an interned (type, state key) to an [`Entry`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateMap {
    entries: Arc<BTreeMap<u64, Entry>>,
}

impl StateMap {
    /// The map without entries.
    pub fn new() -> StateMap {
        StateMap::default()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of `key`.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn get(&self, key: u64, _nodes: &impl NodeStore) -> Result<Option<Entry>, LoadError> {
        Ok(self.entries.get(&key).copied())
    }

    /// Sets the entry of `key` and gives back what was there. Clones of the map are not affected.
    ///
    /// # Errors
    /// See [`LoadError`]; the map is then unchanged.
    pub fn insert(
        &mut self,
        key: u64,
        entry: Entry,
        _nodes: &impl NodeStore,
    ) -> Result<Option<Entry>, LoadError> {
        Ok(Arc::make_mut(&mut self.entries).insert(key, entry))
    }

    /// Removes the entry of `key` and gives back what was there. Clones of the map are not affected.
    ///
    /// # Errors
    /// See [`LoadError`]; the map is then unchanged.
    pub fn remove(&mut self, key: u64, _nodes: &impl NodeStore) -> Result<Option<Entry>, LoadError> {
        Ok(Arc::make_mut(&mut self.entries).remove(&key))
    }

    /// Every entry in the order of keys. The iterator ends after the first error.
    pub fn iter<'a>(
        &'a self,
        _nodes: &'a impl NodeStore,
    ) -> impl Iterator<Item = Result<(u64, Entry), LoadError>> + 'a {
        self.entries.iter().map(|(key, entry)| Ok((*key, *entry)))
    }

    /// The entries whose generation is greater than `above` (all of them for `None`), highest generation first and
    /// by key among equals. Only subtrees that hold such an entry are visited, and only as far as
    /// the iterator is read. The iterator ends after the first error.
    pub fn highest_first<'a>(
        &'a self,
        above: Option<u64>,
        _nodes: &'a impl NodeStore,
    ) -> impl Iterator<Item = Result<(u64, Entry), LoadError>> + 'a {
        let mut found: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| above.is_none_or(|above| entry.generation > above))
            .map(|(key, entry)| (*key, *entry))
            .collect();
        found.sort_by_key(|(key, entry)| (std::cmp::Reverse(entry.generation), *key));
        found.into_iter().map(Ok)
    }

    /// The greatest generation of an entry, or `None` for the empty map.
    pub fn max_generation(&self) -> Option<u64> {
        self.entries.values().map(|entry| entry.generation).max()
    }

    /// What changes from `self` to `newer`, in the order of keys.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn diff(&self, newer: &StateMap, nodes: &impl NodeStore) -> Result<Vec<Change>, LoadError> {
        let differences = StateMap::differences(&[self, newer], nodes)?;
        Ok(differences
            .iter()
            .filter_map(|(key, entries)| match entries {
                [old, new] => Some(Change { key, old: *old, new: *new }),
                _ => None,
            })
            .collect())
    }

    /// The keys whose entry is not the same in all of `maps`, with the entry of each map, in the order of keys.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn differences(maps: &[&StateMap], _nodes: &impl NodeStore) -> Result<Differences, LoadError> {
        let keys: std::collections::BTreeSet<u64> =
            maps.iter().flat_map(|map| map.entries.keys().copied()).collect();
        let mut differences = Differences::new(maps.len());
        for key in keys {
            let row: Vec<Option<Entry>> = maps.iter().map(|map| map.entries.get(&key).copied()).collect();
            if row.windows(2).any(|pair| pair.first() != pair.last()) {
                differences.push(key, row);
            }
        }
        Ok(differences)
    }
}

/// Builds the map of these entries; the last one of a key wins.
impl FromIterator<(u64, Entry)> for StateMap {
    fn from_iter<I: IntoIterator<Item = (u64, Entry)>>(entries: I) -> StateMap {
        StateMap { entries: Arc::new(entries.into_iter().collect()) }
    }
}
