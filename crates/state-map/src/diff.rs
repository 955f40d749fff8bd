//! What differs between snapshots.

use crate::map::Entry;

/// One key that two snapshots disagree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: u64,
    /// Its entry in the older map.
    pub old: Option<Entry>,
    /// Its entry in the newer map.
    pub new: Option<Entry>,
}

/// The keys that several snapshots disagree on: one row for each key, one column for each snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences {
    width: usize,
    keys: Vec<u64>,
    entries: Vec<Option<Entry>>,
}

impl Differences {
    pub(crate) const fn new(width: usize) -> Differences {
        Differences { width, keys: Vec::new(), entries: Vec::new() }
    }

    pub(crate) fn push(&mut self, key: u64, row: impl IntoIterator<Item = Option<Entry>>) {
        self.keys.push(key);
        self.entries.extend(row);
    }

    /// Number of keys that differ.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether all snapshots hold the same.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that differ with the entry of each snapshot (in the order in which the snapshots were given), in the order of keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &[Option<Entry>])> {
        self.keys.iter().copied().zip(self.entries.chunks_exact(self.width.max(1)))
    }
}
