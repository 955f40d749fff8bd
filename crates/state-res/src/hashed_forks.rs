//! Comparing plain maps that are in no order.

use crate::{
    forks::ConflictedEntry,
    hashing::{Folding, Map},
    node_map::{ForkSets, Node, NodeMap},
    plain_forks::Entry,
};

type Positions<'a> = Map<(&'a str, &'a str), u32>;

/// What the forks have for each key, compared with what the first fork that has the key has.
pub(crate) struct Hashed<'a, Id> {
    /// For each key, where it is in `keys`.
    positions: Positions<'a>,
    /// The entries as first met.
    keys: Vec<Entry<'a, Id>>,
    /// The forks that have that very event, by position as a node.
    agree: ForkSets,
    /// The entries with another event: position, fork, event.
    others: Vec<(u32, usize, &'a Id)>,
}

type Parts<'a, Id> = (Vec<ConflictedEntry<&'a Id>>, Vec<Entry<'a, Id>>, Positions<'a>);

impl<'a, Id: Eq> Hashed<'a, Id> {
    /// `None` when a fork has a key twice; then which one comes last has to be found out first.
    pub(crate) fn compare(forks: &[Vec<Entry<'a, Id>>]) -> Option<Self> {
        let expected = forks.first().map_or(0, Vec::len);
        let mut hashed = Self {
            positions: Map::with_capacity_and_hasher(expected, Folding::default()),
            keys: Vec::with_capacity(expected),
            agree: ForkSets::new(forks.len()),
            others: Vec::new(),
        };
        // The last fork that had the key, plus one.
        let mut seen_in = NodeMap::<usize>::new();
        for (fork, entries) in forks.iter().enumerate() {
            for entry in entries {
                let position = Node(hashed.add(fork, *entry));
                if seen_in.get(position) == fork + 1 {
                    return None;
                }
                seen_in.set(position, fork + 1);
            }
        }
        Some(hashed)
    }

    fn add(&mut self, fork: usize, entry: Entry<'a, Id>) -> u32 {
        let next = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let position = *self.positions.entry((entry.0, entry.1)).or_insert(next);
        if position == next {
            self.keys.push(entry);
        }
        match self.keys.get(position as usize) {
            Some(known) if known.2 == entry.2 => self.agree.add_fork(Node(position), fork),
            _ => self.others.push((position, fork, entry.2)),
        }
        position
    }

    /// The conflicted entries in the order of keys, the unconflicted entries, and where each of
    /// those is.
    pub(crate) fn into_parts(mut self) -> Parts<'a, Id> {
        let keys = 0..u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let in_conflict: Vec<u32> = keys.filter(|position| !self.agree.is_full(Node(*position))).collect();
        let conflicted = self.conflicted(&in_conflict);
        // The last first, so that what takes its place is never in conflict itself.
        for position in in_conflict.into_iter().rev() {
            let key = self.keys.swap_remove(position as usize);
            self.positions.remove(&(key.0, key.1));
            if let Some(moved) = self.keys.get(position as usize) {
                self.positions.insert((moved.0, moved.1), position);
            }
        }
        (conflicted, self.keys, self.positions)
    }

    fn conflicted(&self, in_conflict: &[u32]) -> Vec<ConflictedEntry<&'a Id>> {
        let mut rows = Vec::new();
        for position in in_conflict {
            if let Some(key) = self.keys.get(*position as usize) {
                let forks = self.agree.forks_of(Node(*position));
                rows.extend(forks.map(|fork| ((key.0, key.1), fork, key.2)));
            }
        }
        for (position, fork, event) in &self.others {
            if let Some(key) = self.keys.get(*position as usize) {
                rows.push(((key.0, key.1), *fork, event));
            }
        }
        rows.sort_unstable_by_key(|(key, fork, _)| (*key, *fork));
        let keys = rows.chunk_by(|a, b| a.0 == b.0).enumerate();
        let entries = keys.flat_map(|(key, rows)| {
            rows.iter().map(move |(_, fork, event)| ConflictedEntry {
                key,
                fork: *fork,
                event: *event,
                generation: None,
            })
        });
        entries.collect()
    }
}
