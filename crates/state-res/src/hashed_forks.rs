//! Comparing plain maps that are in no order.

use std::{
    hash::{BuildHasher, Hash, Hasher},
    hint::black_box,
};

use crate::{forks::ConflictedEntry, hashing::Folding, plain_forks::Entry, position_table::PositionTable};

/// So many strings are hashed at once: the processor waits for the memory of all of them together,
/// and still has them at hand when they are compared.
const BATCH: usize = 64;

/// Hash maps, divided into what they agree on and what they do not.
pub(crate) struct Divided<'a, Id> {
    /// In the order of keys.
    pub(crate) conflicted: Vec<ConflictedEntry<&'a Id>>,
    /// In the order of the first fork.
    pub(crate) unconflicted: Vec<Entry<'a, Id>>,
    /// Where each key is in `unconflicted`.
    pub(crate) index: KeyIndex,
}

/// One entry of a conflicted key: the key, the fork, the event.
type Row<'a, Id> = ((&'a str, &'a str), usize, &'a Id);

impl<'a, Id: Eq + Hash> Divided<'a, Id> {
    /// Goes by events: one that is in every fork is unconflicted, without a look at most keys.
    ///
    /// `None` when a fork has a key or an event twice, or an event is under different keys; then
    /// the forks have to be put in order first.
    pub(crate) fn new(forks: &[Vec<Entry<'a, Id>>]) -> Option<Self> {
        let (first, others) = forks.split_first()?;
        let mut common = Common::new(first)?;
        let mut rows = Vec::new();
        for (fork, entries) in (1..).zip(others) {
            common.compare(fork, entries, &mut rows)?;
        }
        common.missed(forks.len(), &mut rows);
        let (unconflicted, index) = common.into_unconflicted(forks.len())?;
        rows.sort_unstable_by_key(|(key, fork, _)| (*key, *fork));
        // A key twice in a fork.
        let is_twice = |pair: &[Row<'a, Id>]| matches!(pair, [a, b] if a.0 == b.0 && a.1 == b.1);
        if rows.windows(2).any(is_twice) {
            return None;
        }
        let keys = rows.chunk_by(|a, b| a.0 == b.0);
        if keys.clone().flat_map(<[_]>::first).any(|row| index.find(&unconflicted, row.0).is_some()) {
            return None;
        }
        Some(Self { conflicted: keys.enumerate().flat_map(entries_of_key).collect(), unconflicted, index })
    }
}

fn entries_of_key<'r, 'a, Id>(
    (key, rows): (usize, &'r [Row<'a, Id>]),
) -> impl Iterator<Item = ConflictedEntry<&'a Id>> + use<'r, 'a, Id> {
    rows.iter().map(move |row| ConflictedEntry { key, fork: row.1, event: row.2, generation: None })
}

/// The entries of the first fork, and how many forks have been found to have each.
struct Common<'f, 'a, Id> {
    entries: &'f [Entry<'a, Id>],
    /// Their events alone, which more of fit into the processor's caches.
    events: Vec<&'a Id>,
    hashing: Folding,
    key_hashes: Vec<u64>,
    by_event: PositionTable,
    /// By position: the forks before this one all have the entry.
    agree_until: Vec<usize>,
}

impl<'f, 'a, Id: Eq + Hash> Common<'f, 'a, Id> {
    fn new(entries: &'f [Entry<'a, Id>]) -> Option<Self> {
        let hashing = Folding::default();
        let events: Vec<&Id> = entries.iter().map(|entry| entry.2).collect();
        let mut key_hashes = Vec::with_capacity(entries.len());
        let mut by_event = PositionTable::for_positions(entries.len());
        let mut position = 0;
        for batch in entries.chunks(BATCH) {
            let hashes = event_hashes(hashing, batch);
            touch(batch.iter().map(|entry| (entry.0, entry.1)));
            key_hashes.extend(batch.iter().map(|entry| key_hash(hashing, (entry.0, entry.1))));
            for (entry, hash) in batch.iter().zip(hashes) {
                let is_same =
                    |other| entries.get(other).is_some_and(|other: &Entry<'_, _>| other.2 == entry.2);
                if by_event.find_or_insert(hash, position, is_same).is_some() {
                    return None;
                }
                position += 1;
            }
        }
        Some(Self { entries, events, hashing, key_hashes, by_event, agree_until: vec![1; entries.len()] })
    }

    /// Notes which entries another fork has too, and gives those that are not common so far.
    fn compare(&mut self, fork: usize, entries: &[Entry<'a, Id>], rows: &mut Vec<Row<'a, Id>>) -> Option<()> {
        for batch in entries.chunks(BATCH) {
            let hashes = event_hashes(self.hashing, batch);
            let likely = hashes.iter().filter_map(|hash| self.by_event.likely(*hash));
            touch(likely.filter_map(|position| self.events.get(position)));
            for (entry, hash) in batch.iter().zip(hashes) {
                let is_same = |other| has_event(&self.events, other, entry.2);
                let known = self.by_event.find(hash, is_same);
                let known = known.and_then(|at| self.entries.get(at).zip(self.agree_until.get_mut(at)));
                match known {
                    // No look at the text of the keys, which is somewhere else in memory.
                    Some((known, _)) if has_other_lengths(known, entry) => return None,
                    Some((_, agree_until)) if *agree_until == fork => *agree_until += 1,
                    Some((_, agree_until)) if *agree_until > fork => return None,
                    _ => rows.push(((entry.0, entry.1), fork, entry.2)),
                }
            }
        }
        Some(())
    }

    /// The entries that the first forks have and a later one has not.
    fn missed(&self, forks: usize, rows: &mut Vec<Row<'a, Id>>) {
        for (entry, agree_until) in self.entries.iter().zip(&self.agree_until) {
            if *agree_until < forks {
                rows.extend((0..*agree_until).map(|fork| ((entry.0, entry.1), fork, entry.2)));
            }
        }
    }

    /// The entries that all forks have; `None` when a key is among them twice.
    fn into_unconflicted(self, forks: usize) -> Option<(Vec<Entry<'a, Id>>, KeyIndex)> {
        let mut unconflicted = Vec::with_capacity(self.entries.len());
        let mut positions = PositionTable::for_positions(self.entries.len());
        let agreed = self.entries.iter().zip(self.key_hashes).zip(self.agree_until);
        for ((entry, hash), _) in agreed.filter(|(_, agree_until)| *agree_until == forks) {
            let is_same = |other| has_key(&unconflicted, other, (entry.0, entry.1));
            if positions.find_or_insert(hash, unconflicted.len(), is_same).is_some() {
                return None;
            }
            unconflicted.push(*entry);
        }
        Some((unconflicted, KeyIndex { hashing: self.hashing, positions }))
    }
}

/// Where keys are in a list of entries.
#[derive(Clone, Debug)]
pub(crate) struct KeyIndex {
    hashing: Folding,
    positions: PositionTable,
}

impl KeyIndex {
    pub(crate) fn find<Id>(&self, entries: &[Entry<'_, Id>], key: (&str, &str)) -> Option<usize> {
        self.positions.find(key_hash(self.hashing, key), |position| has_key(entries, position, key))
    }
}

fn has_key<Id>(entries: &[Entry<'_, Id>], position: usize, key: (&str, &str)) -> bool {
    // The state key first: most types are alike.
    entries.get(position).is_some_and(|entry| entry.1 == key.1 && entry.0 == key.0)
}

/// Reads a little of each, so that the processor fetches them all from memory at the same time; it
/// does not look ahead far enough to do so while it hashes or compares them.
fn touch(things: impl Iterator<Item = impl Hash>) {
    let mut toucher = Toucher::default();
    things.for_each(|thing| thing.hash(&mut toucher));
    black_box(toucher);
}

#[derive(Default)]
struct Toucher {
    read: u8,
}

impl Hasher for Toucher {
    fn write(&mut self, bytes: &[u8]) {
        if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
            self.read ^= first ^ last;
        }
    }

    fn finish(&self) -> u64 {
        u64::from(self.read)
    }
}

fn has_event<Id: Eq>(events: &[&Id], position: usize, event: &Id) -> bool {
    events.get(position).is_some_and(|other| *other == event)
}

const fn has_other_lengths<Id>(a: &Entry<'_, Id>, b: &Entry<'_, Id>) -> bool {
    a.0.len() != b.0.len() || a.1.len() != b.1.len()
}

fn event_hashes<Id: Hash>(hashing: Folding, entries: &[Entry<'_, Id>]) -> [u64; BATCH] {
    touch(entries.iter().map(|entry| entry.2));
    let mut hashes = [0; BATCH];
    for (hash, entry) in hashes.iter_mut().zip(entries) {
        *hash = hashing.hash_one(entry.2);
    }
    hashes
}

fn key_hash(hashing: Folding, (event_type, state_key): (&str, &str)) -> u64 {
    let mut hasher = hashing.build_hasher();
    // Their lengths go in too, so that they cannot run into each other.
    hasher.write(event_type.as_bytes());
    hasher.write(state_key.as_bytes());
    hasher.finish()
}
