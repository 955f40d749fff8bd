//! Forks given as maps of any kind.

use std::{collections::BTreeMap, hash::Hash};

use freehold_state_map::LoadError;

use crate::{
    Resolution,
    forks::{ConflictedEntry, Forks, UnconflictedEntry},
    hashed_forks::{Divided, KeyIndex},
};

/// Forks given as maps from `(event_type, state_key)` to the caller's key for the event.
///
/// Finding the conflict takes one walk over all maps side by side, so a resolution from plain maps costs the
/// room, if only a comparison per entry; see [`SnapshotForks`](crate::SnapshotForks) for one that
/// does not.
///
/// ```
/// use std::collections::BTreeMap;
/// use freehold_state_res::PlainForks;
///
/// let ours = BTreeMap::from([(("m.room.topic", ""), 7_u64), (("m.room.name", ""), 5)]);
/// let theirs = BTreeMap::from([(("m.room.topic", ""), 8_u64), (("m.room.name", ""), 5)]);
/// let forks: PlainForks<u64> = PlainForks::new([&ours, &theirs]);
/// assert_eq!(forks.unconflicted().collect::<Vec<_>>(), [("m.room.name", "", &5)]);
/// ```
#[derive(Clone, Debug)]
pub struct PlainForks<'a, Id> {
    count: usize,
    conflicted: Vec<ConflictedEntry<&'a Id>>,
    unconflicted: Vec<Entry<'a, Id>>,
    index: Index,
}

pub(crate) type Entry<'a, Id> = (&'a str, &'a str, &'a Id);

/// How to find a key in the unconflicted entries.
#[derive(Clone, Debug)]
enum Index {
    /// They are in the order of keys.
    Sorted,
    /// They are in no order.
    Hashed(KeyIndex),
}

impl<'a, Id: Eq + Hash> PlainForks<'a, Id> {
    /// The forks that these maps are.
    ///
    /// Each has a key once, as maps do. Maps that iterate in the order of keys (such as `BTreeMap`) are
    /// walked side by side; others (such as `HashMap`) are looked up in each other, by event: a state map
    /// has an event under its own type and state key and nowhere else, so an event that is in every map
    /// is not in conflict.
    pub fn new<Map, Key>(maps: impl IntoIterator<Item = Map>) -> Self
    where
        Map: IntoIterator<Item = (Key, &'a Id)>,
        Key: StateKey<'a>,
    {
        let mut maps = maps.into_iter().map(entries_of);
        // Not by way of `flatten`, which does not know how many there are.
        let first: Vec<_> = maps.next().map(Iterator::collect).unwrap_or_default();
        if !is_sorted(&first) {
            return Self::of_unsorted(first, maps);
        }
        let others: Vec<Vec<_>> = maps.map(Iterator::collect).collect();
        if !others.iter().all(|fork| is_sorted(fork)) {
            return Self::of_unsorted(first, others.into_iter().map(Vec::into_iter));
        }
        Self::of_sorted(&[first].into_iter().chain(others).collect::<Vec<_>>())
    }

    fn of_unsorted<Fork: Iterator<Item = Entry<'a, Id>>>(
        first: Vec<Entry<'a, Id>>,
        others: impl Iterator<Item = Fork>,
    ) -> Self {
        let mut count = 1;
        match Divided::new(first, others.inspect(|_| count += 1)) {
            Ok(Divided { conflicted, unconflicted }) => {
                let index = Index::Hashed(KeyIndex::new(&unconflicted));
                Self { count, conflicted, unconflicted, index }
            }
            Err(mut forks) => {
                forks.iter_mut().for_each(sort);
                Self::of_sorted(&forks)
            }
        }
    }

    fn of_sorted(forks: &[Vec<Entry<'a, Id>>]) -> Self {
        let (conflicted, unconflicted) = (Vec::new(), Vec::new());
        let mut built = Self { count: forks.len(), conflicted, unconflicted, index: Index::Sorted };
        built.divide(forks);
        built
    }

    /// The unconflicted state map, in the order in which the first map gave it.
    pub fn unconflicted(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str, &'a Id)> {
        self.unconflicted.iter().copied()
    }

    /// The resolved state in the order of keys: the unconflicted state map with what was resolved
    /// put over it.
    pub fn state(&self, resolution: &Resolution<'a, Id>) -> BTreeMap<(&'a str, &'a str), &'a Id> {
        let unconflicted = self.unconflicted.iter();
        let mut state: BTreeMap<_, _> =
            unconflicted.map(|(event_type, state_key, id)| ((*event_type, *state_key), *id)).collect();
        for key in &resolution.resolved {
            state.extend(key.event.map(|id| ((key.event_type, key.state_key), id)));
        }
        state
    }

    /// Walks all forks side by side, key by key.
    ///
    /// > If a given key K is present in every Si with the same value V in each state map, then the
    /// > pair (K, V) belongs to the unconflicted state map. Otherwise, V belongs to the conflicted
    /// > state set.
    fn divide(&mut self, forks: &[Vec<Entry<'a, Id>>]) {
        let mut rest: Vec<&[Entry<'a, Id>]> = forks.iter().map(Vec::as_slice).collect();
        self.unconflicted.reserve(rest.first().map_or(0, |fork| fork.len()));
        let mut keys = 0;
        loop {
            if let Some(entry) = take_if_unconflicted(&mut rest) {
                self.unconflicted.push(entry);
                continue;
            }
            let heads = rest.iter().filter_map(|fork| fork.first());
            let Some((event_type, state_key)) = heads.map(|entry| (entry.0, entry.1)).min() else {
                return;
            };
            for (fork, entries) in rest.iter_mut().enumerate() {
                if let Some((first, behind)) = entries.split_first()
                    && (first.0, first.1) == (event_type, state_key)
                {
                    let event = first.2;
                    self.conflicted.push(ConflictedEntry { key: keys, fork, event, generation: None });
                    *entries = behind;
                }
            }
            keys += 1;
        }
    }
}

/// Takes the next entry of every fork when they are all the same.
fn take_if_unconflicted<'a, Id: Eq>(rest: &mut [&[Entry<'a, Id>]]) -> Option<Entry<'a, Id>> {
    let (first, others) = rest.split_first()?;
    let entry = *first.first()?;
    // The events first: keys that begin alike are dearer to compare.
    if others.iter().any(|fork| {
        fork.first().is_none_or(|other| other.2 != entry.2 || other.1 != entry.1 || other.0 != entry.0)
    }) {
        return None;
    }
    for fork in rest {
        *fork = fork.get(1..).unwrap_or_default();
    }
    Some(entry)
}

fn entries_of<'a, Id: 'a, Map, Key>(map: Map) -> impl Iterator<Item = Entry<'a, Id>> + use<'a, Id, Map, Key>
where
    Map: IntoIterator<Item = (Key, &'a Id)>,
    Key: StateKey<'a>,
{
    map.into_iter().map(|(key, event)| {
        let (event_type, state_key) = key.parts();
        (event_type, state_key, event)
    })
}

fn key_of<'a, Id>(entry: &Entry<'a, Id>) -> (&'a str, &'a str) {
    (entry.0, entry.1)
}

fn is_sorted<Id>(entries: &[Entry<'_, Id>]) -> bool {
    entries.is_sorted_by(|a, b| key_of(a) < key_of(b))
}

fn sort<Id>(entries: &mut Vec<Entry<'_, Id>>) {
    // Stable, so that the last one of a key is behind the others.
    entries.sort_by_key(key_of);
    entries.reverse();
    entries.dedup_by_key(|entry| key_of(entry));
    entries.reverse();
}

impl<'a, Id: Eq> Forks<Id> for PlainForks<'a, Id> {
    type Event = &'a Id;

    fn count(&self) -> usize {
        self.count
    }

    fn conflicted(&self) -> impl Iterator<Item = ConflictedEntry<&'a Id>> {
        self.conflicted.iter().copied()
    }

    fn unconflicted(&self, event_type: &str, state_key: &str) -> Result<Option<&'a Id>, LoadError> {
        let key = (event_type, state_key);
        let position = match &self.index {
            Index::Sorted => self.unconflicted.binary_search_by(|entry| key_of(entry).cmp(&key)).ok(),
            Index::Hashed(index) => index.find(&self.unconflicted, key),
        };
        Ok(position.and_then(|position| self.unconflicted.get(position)).map(|entry| entry.2))
    }

    /// Members last: the few other events usually have every event that matters in their chains.
    fn unconflicted_above(
        &self,
        _above: u64,
    ) -> impl Iterator<Item = Result<UnconflictedEntry<&'a Id>, LoadError>> {
        let others = self.unconflicted.iter().filter(|entry| entry.0 != "m.room.member");
        let members = self.unconflicted.iter().filter(|entry| entry.0 == "m.room.member");
        others.chain(members).map(|entry| Ok(UnconflictedEntry { event: entry.2, generation: None }))
    }
}

/// A key of a state map: anything that holds an event type and a state key.
pub trait StateKey<'a> {
    /// The event type and the state key.
    fn parts(self) -> (&'a str, &'a str);
}

impl<'a> StateKey<'a> for (&'a str, &'a str) {
    fn parts(self) -> (&'a str, &'a str) {
        self
    }
}

impl<'a, Type: AsRef<str>, Key: AsRef<str>> StateKey<'a> for &'a (Type, Key) {
    fn parts(self) -> (&'a str, &'a str) {
        (self.0.as_ref(), self.1.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    type Map = BTreeMap<(String, String), u32>;

    fn map(entries: &[(&str, u32)]) -> Map {
        entries.iter().map(|(key, event)| (("t".to_owned(), (*key).to_owned()), *event)).collect()
    }

    fn conflicted(forks: &PlainForks<'_, u32>) -> Vec<(usize, usize, u32)> {
        forks.conflicted().map(|entry| (entry.key, entry.fork, *entry.event)).collect()
    }

    fn unconflicted(forks: &PlainForks<'_, u32>) -> Vec<u32> {
        forks.unconflicted().map(|entry| *entry.2).collect()
    }

    #[test]
    fn a_key_is_unconflicted_when_every_fork_has_the_same_event() {
        let forks = [
            map(&[("a", 1), ("b", 2), ("d", 4)]),
            map(&[("a", 1), ("b", 3), ("c", 5), ("d", 4)]),
            map(&[("a", 1), ("b", 2), ("d", 4), ("e", 6)]),
        ];
        let forks = PlainForks::new(&forks);
        assert_eq!(unconflicted(&forks), [1, 4]);
        assert_eq!(conflicted(&forks), [(0, 0, 2), (0, 1, 3), (0, 2, 2), (1, 1, 5), (2, 2, 6)]);
        assert_eq!(Forks::unconflicted(&forks, "t", "d").unwrap(), Some(&4));
        assert_eq!(Forks::unconflicted(&forks, "t", "b").unwrap(), None);
        assert_eq!(Forks::unconflicted(&forks, "t", "z").unwrap(), None);
    }

    /// What a plain way of comparing hash maps finds, and what is found in sorted ones.
    #[test]
    fn maps_without_order_are_divided_like_those_with() {
        let forks = [
            map(&[("a", 1), ("b", 2), ("d", 4), ("f", 7)]),
            map(&[("a", 1), ("b", 3), ("c", 5), ("d", 4)]),
            map(&[("a", 1), ("b", 2), ("d", 4), ("e", 6), ("f", 8)]),
        ];
        let sorted = PlainForks::new(&forks);
        // Backwards, which is no order either.
        let hashed = PlainForks::new(forks.iter().map(|fork| fork.iter().rev()));
        assert!(matches!(hashed.index, Index::Hashed(_)));
        assert_eq!(conflicted(&hashed), conflicted(&sorted));
        let mut all = unconflicted(&hashed);
        all.sort_unstable();
        assert_eq!(all, unconflicted(&sorted));
        // More often than keys are searched for without an index.
        for key in ["a", "b", "c", "d", "e", "f", "g"].into_iter().cycle().take(20) {
            assert_eq!(
                Forks::unconflicted(&hashed, "t", key).unwrap(),
                Forks::unconflicted(&sorted, "t", key).unwrap(),
                "{key}"
            );
        }
    }

    /// What is found by event has to be what is found by key, also where a caller is careless.
    #[test]
    fn events_and_conflicted_keys_given_twice_are_divided_as_in_order() {
        type List = Vec<(&'static str, u32)>;
        let given: [[List; 2]; 3] = [
            // A conflicted key twice.
            [vec![("c", 4), ("a", 2)], vec![("b", 1), ("a", 2), ("b", 3)]],
            // An entry twice.
            [vec![("b", 1), ("a", 2), ("b", 1)], vec![("b", 1), ("a", 2), ("a", 2)]],
            // An event under two keys, and under different ones.
            [vec![("b", 1), ("a", 1)], vec![("bb", 1), ("b", 1), ("a", 2)]],
        ];
        for forks in given {
            let ordered = forks.each_ref().map(|fork| map(fork));
            let ordered = PlainForks::new(&ordered);
            let plain = PlainForks::new(
                forks.iter().map(|fork| fork.iter().map(|(key, event)| (("t", *key), event))),
            );
            assert_eq!(conflicted(&plain), conflicted(&ordered), "{forks:?}");
            assert_eq!(unconflicted(&plain), unconflicted(&ordered), "{forks:?}");
        }
    }

    #[test]
    fn many_forks_without_order_are_divided_like_those_with() {
        let mut forks: Vec<Map> = (0..70).map(|_| map(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)])).collect();
        forks[3] = map(&[("a", 1), ("b", 9), ("d", 4)]);
        forks[69] = map(&[("a", 1), ("c", 3), ("d", 8), ("e", 5)]);
        let sorted = PlainForks::new(&forks);
        let hashed = PlainForks::new(forks.iter().map(|fork| fork.iter().rev()));
        assert!(matches!(hashed.index, Index::Hashed(_)));
        assert_eq!(conflicted(&hashed), conflicted(&sorted));
        assert_eq!(conflicted(&hashed).len(), 70 * 3 - 2 + 1);
        assert_eq!(unconflicted(&hashed), [1]);
    }

    #[test]
    fn one_fork_or_none_has_no_conflict() {
        let one = [map(&[("a", 1), ("b", 2)])];
        let forks = PlainForks::new(&one);
        assert_eq!((unconflicted(&forks), conflicted(&forks)), (vec![1, 2], vec![]));
        let none: [Map; 0] = [];
        let forks = PlainForks::new(&none);
        assert_eq!((unconflicted(&forks), conflicted(&forks)), (vec![], vec![]));
    }

    #[test]
    fn an_empty_fork_makes_every_key_conflicted() {
        let forks = [map(&[("a", 1), ("b", 2)]), map(&[])];
        let forks = PlainForks::new(&forks);
        assert_eq!((unconflicted(&forks), conflicted(&forks)), (vec![], vec![(0, 0, 1), (1, 0, 2)]));
    }

    #[test]
    fn hash_maps_and_lists_need_no_order() {
        let hashed: HashMap<(String, String), u32> =
            map(&[("c", 3), ("a", 1), ("b", 2)]).into_iter().collect();
        let forks = PlainForks::new([&hashed]);
        let mut all = unconflicted(&forks);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3]);
        let list = [(("t", "b"), 2), (("t", "a"), 1)];
        let forks = PlainForks::new([list.iter().map(|(key, event)| (*key, event))]);
        assert_eq!(unconflicted(&forks), [2, 1]);
    }
}
