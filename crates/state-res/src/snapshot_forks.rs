//! Forks given as persistent snapshots.

use freehold_state_map::{Differences, Entry, LoadError, NodeStore, StateMap};

use crate::{
    Resolution,
    forks::{ConflictedEntry, Forks, UnconflictedEntry},
};

/// The numbers under which a [`StateMap`] keeps its keys.
///
/// Implemented by every `Fn(&str, &str) -> Option<u64>`.
pub trait StateKeys {
    /// The number of `(event_type, state_key)`; `None` when none was ever given to it.
    fn number(&self, event_type: &str, state_key: &str) -> Option<u64>;
}

impl<F: Fn(&str, &str) -> Option<u64>> StateKeys for F {
    fn number(&self, event_type: &str, state_key: &str) -> Option<u64> {
        self(event_type, state_key)
    }
}

/// Forks given as [`StateMap`]s; events are the numbers that their entries hold.
///
/// Snapshots of one room share most of their nodes, so finding the conflict costs what differs,
/// however many members the room has.
#[derive(Clone, Debug)]
pub struct SnapshotForks<'a, Keys, Nodes> {
    maps: &'a [&'a StateMap],
    keys: &'a Keys,
    nodes: &'a Nodes,
    differences: Differences,
    /// The conflicted keys, in order.
    conflicted: Vec<u64>,
}

impl<'a, Keys: StateKeys, Nodes: NodeStore> SnapshotForks<'a, Keys, Nodes> {
    /// The forks that these snapshots are; `nodes` is
    /// [`NoStore`](freehold_state_map::NoStore) for snapshots that live in memory.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when a node that differs cannot be read.
    pub fn new(maps: &'a [&'a StateMap], keys: &'a Keys, nodes: &'a Nodes) -> Result<Self, LoadError> {
        let differences = StateMap::differences(maps, nodes)?;
        let conflicted = differences.iter().filter(|(_, row)| !is_same_event(row)).map(|(key, _)| key);
        let conflicted = conflicted.collect();
        Ok(Self { maps, keys, nodes, differences, conflicted })
    }

    /// The conflicted keys, in order.
    pub fn conflicted_keys(&self) -> &[u64] {
        &self.conflicted
    }

    /// The snapshot of the resolved state. It shares with the first fork what was not in conflict.
    ///
    /// `number` gives a number to a key that has none yet: an event that is in no fork can get into
    /// the resolved state from an auth chain.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when a node on the path to a conflicted key cannot be read.
    pub fn state(
        &self,
        resolution: &Resolution<'_, u64>,
        mut number: impl FnMut(&str, &str) -> u64,
    ) -> Result<StateMap, LoadError> {
        let mut state = self.maps.first().map_or_else(StateMap::new, |first| StateMap::clone(first));
        for resolved in &resolution.resolved {
            let key = match self.keys.number(resolved.event_type, resolved.state_key) {
                Some(key) => key,
                None => number(resolved.event_type, resolved.state_key),
            };
            match resolved.event {
                Some(event) => {
                    let generation = resolved.generation.unwrap_or(0);
                    state.insert(key, Entry { event: *event, generation }, self.nodes)?;
                }
                None => {
                    state.remove(key, self.nodes)?;
                }
            }
        }
        Ok(state)
    }

    fn is_conflicted(&self, key: u64) -> bool {
        self.conflicted.binary_search(&key).is_ok()
    }
}

/// Whether all snapshots name one event (and only differ in what they say of its generation).
fn is_same_event(row: &[Option<Entry>]) -> bool {
    let event = |entry: &Option<Entry>| entry.map(|entry| entry.event);
    let first = row.first().and_then(event);
    first.is_some() && row.iter().all(|entry| event(entry) == first)
}

impl<Keys: StateKeys, Nodes: NodeStore> Forks<u64> for SnapshotForks<'_, Keys, Nodes> {
    type Event = u64;

    fn count(&self) -> usize {
        self.maps.len()
    }

    fn conflicted(&self) -> impl Iterator<Item = ConflictedEntry<u64>> {
        let rows = self.differences.iter().map(|(_, row)| row).filter(|row| !is_same_event(row));
        rows.enumerate().flat_map(|(key, row)| {
            row.iter().enumerate().filter_map(move |(fork, entry)| {
                let Entry { event, generation } = (*entry)?;
                Some(ConflictedEntry { key, fork, event, generation: Some(generation) })
            })
        })
    }

    fn unconflicted(&self, event_type: &str, state_key: &str) -> Result<Option<u64>, LoadError> {
        let (Some(first), Some(key)) = (self.maps.first(), self.keys.number(event_type, state_key)) else {
            return Ok(None);
        };
        if self.is_conflicted(key) {
            return Ok(None);
        }
        Ok(first.get(key, self.nodes)?.map(|entry| entry.event))
    }

    fn unconflicted_above(
        &self,
        above: u64,
    ) -> impl Iterator<Item = Result<UnconflictedEntry<u64>, LoadError>> {
        let first = self.maps.first().into_iter();
        let entries = first.flat_map(move |map| map.highest_first(Some(above), self.nodes));
        entries.filter_map(|found| match found {
            Ok((key, _)) if self.is_conflicted(key) => None,
            Ok((_, Entry { event, generation })) => {
                Some(Ok(UnconflictedEntry { event, generation: Some(generation) }))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use freehold_state_map::NoStore;

    use super::*;

    fn map(entries: &[(u64, u64, u64)]) -> StateMap {
        entries.iter().map(|&(key, event, generation)| (key, Entry { event, generation })).collect()
    }

    fn number(event_type: &str, state_key: &str) -> Option<u64> {
        event_type.is_empty().then(|| state_key.parse().unwrap())
    }

    #[test]
    fn conflict_is_what_the_snapshots_disagree_on() {
        let maps = [
            map(&[(1, 10, 0), (2, 20, 5), (3, 30, 4)]),
            map(&[(1, 10, 0), (2, 21, 6), (3, 30, 4), (4, 40, 2)]),
        ];
        let maps: Vec<&StateMap> = maps.iter().collect();
        let forks = SnapshotForks::new(&maps, &number, &NoStore).unwrap();
        assert_eq!(forks.conflicted_keys(), [2, 4]);
        let conflicted: Vec<_> =
            forks.conflicted().map(|entry| (entry.key, entry.fork, entry.event)).collect();
        assert_eq!(conflicted, [(0, 0, 20), (0, 1, 21), (1, 1, 40)]);
        assert_eq!(forks.unconflicted("", "3").unwrap(), Some(30));
        assert_eq!(forks.unconflicted("", "2").unwrap(), None);
        assert_eq!(forks.unconflicted("other", "3").unwrap(), None);
        let above: Vec<_> = forks.unconflicted_above(0).map(|entry| entry.unwrap().event).collect();
        assert_eq!(above, [30]);
    }
}
