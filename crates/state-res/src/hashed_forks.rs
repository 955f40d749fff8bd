//! Comparing plain maps that are in no order.

use std::{
    hash::{BuildHasher, Hash, Hasher},
    hint::black_box,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
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
}

/// One entry of a conflicted key: the key, the fork, the event.
type Row<'a, Id> = ((&'a str, &'a str), usize, &'a Id);

impl<'a, Id: Eq + Hash> Divided<'a, Id> {
    /// Goes by events: one that is in every fork is unconflicted, without a look at the text of its key.
    /// Only the first fork is kept while the others are gone through.
    ///
    /// # Errors
    ///
    /// The entries of every fork, when one has an event or a conflicted key twice, or an event is under
    /// different keys; then the forks have to be put in order first.
    pub(crate) fn new<Fork: Iterator<Item = Entry<'a, Id>>>(
        first: Vec<Entry<'a, Id>>,
        others: impl Iterator<Item = Fork>,
    ) -> Result<Self, Vec<Vec<Entry<'a, Id>>>> {
        let mut common = match Common::new(first) {
            Ok(common) => common,
            Err(first) => return Err([first].into_iter().chain(others.map(Iterator::collect)).collect()),
        };
        let mut found = Vec::new();
        for (fork, entries) in (1..).zip(others) {
            found.push(common.compare(fork, entries));
        }
        let forks = found.len() + 1;
        let mut rows = common.missed(forks);
        for (fork, found) in (1..).zip(&found) {
            rows.extend(found.others.iter().map(|entry| ((entry.0, entry.1), fork, entry.2)));
        }
        rows.sort_unstable_by_key(|(key, fork, _)| (*key, *fork));
        // A key twice in a fork.
        let is_twice = |pair: &[Row<'a, Id>]| matches!(pair, [a, b] if a.0 == b.0 && a.1 == b.1);
        if common.is_careless || rows.windows(2).any(is_twice) {
            return Err(common.given(found));
        }
        let keys = rows.chunk_by(|a, b| a.0 == b.0);
        let conflicted = keys.enumerate().flat_map(entries_of_key).collect();
        Ok(Self { conflicted, unconflicted: common.into_unconflicted(forks) })
    }
}

fn entries_of_key<'r, 'a, Id>(
    (key, rows): (usize, &'r [Row<'a, Id>]),
) -> impl Iterator<Item = ConflictedEntry<&'a Id>> + use<'r, 'a, Id> {
    rows.iter().map(move |row| ConflictedEntry { key, fork: row.1, event: row.2, generation: None })
}

/// The entries of the first fork, and how many forks have been found to have each.
struct Common<'a, Id> {
    entries: Vec<Entry<'a, Id>>,
    hashing: Folding,
    by_event: PositionTable,
    /// By position: the forks before this one all have the entry.
    agree_until: Vec<u32>,
    /// Whether something was given twice or under different keys.
    is_careless: bool,
}

/// What a fork after the first was found to have.
struct Found<'a, Id> {
    /// For each of its entries where the first fork has it; [`Found::OTHER`] for the next one of `others`.
    positions: Vec<u32>,
    others: Vec<Entry<'a, Id>>,
}

impl<Id> Found<'_, Id> {
    const OTHER: u32 = u32::MAX;
}

impl<'a, Id: Eq + Hash> Common<'a, Id> {
    /// Gives the entries back when an event is among them twice, or they are too many.
    fn new(entries: Vec<Entry<'a, Id>>) -> Result<Self, Vec<Entry<'a, Id>>> {
        if entries.len() > PositionTable::POSITIONS_MAX {
            return Err(entries);
        }
        let hashing = Folding::default();
        let mut by_event = PositionTable::for_positions(entries.len());
        let mut position = 0;
        let mut is_twice = false;
        for batch in entries.chunks(BATCH) {
            for (entry, hash) in batch.iter().zip(event_hashes(hashing, batch)) {
                let is_same = |other| has_event(&entries, other, entry.2);
                is_twice |= by_event.find_or_insert(hash, position, is_same).is_some();
                position += 1;
            }
        }
        if is_twice {
            return Err(entries);
        }
        let agree_until = vec![1; entries.len()];
        Ok(Self { entries, hashing, by_event, agree_until, is_careless: false })
    }

    /// Notes which entries another fork has too, and gives those that are not common so far.
    fn compare(&mut self, fork: u32, mut entries: impl Iterator<Item = Entry<'a, Id>>) -> Found<'a, Id> {
        let mut found = Found { positions: Vec::with_capacity(self.entries.len()), others: Vec::new() };
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.clear();
            batch.extend(entries.by_ref().take(BATCH));
            if batch.is_empty() {
                return found;
            }
            let hashes = event_hashes(self.hashing, &batch);
            let likely = hashes.map(|hash| self.by_event.likely(hash));
            touch(
                likely
                    .iter()
                    .flatten()
                    .filter_map(|position| self.entries.get(*position))
                    .map(|entry| entry.2),
            );
            for ((entry, hash), likely) in batch.iter().zip(hashes).zip(likely) {
                let known = likely.filter(|position| has_event(&self.entries, *position, entry.2));
                let known = known.or_else(|| {
                    likely?;
                    self.by_event.find(hash, |position| has_event(&self.entries, position, entry.2))
                });
                match known.filter(|position| self.agrees(*position, fork, entry)) {
                    Some(position) => found.positions.push(u32::try_from(position).unwrap_or(u32::MAX)),
                    None => {
                        found.positions.push(Found::<Id>::OTHER);
                        found.others.push(*entry);
                    }
                }
            }
        }
    }

    /// Whether the entry of the first fork that has this event is in every fork up to this one.
    fn agrees(&mut self, position: usize, fork: u32, entry: &Entry<'a, Id>) -> bool {
        let known = self.entries.get(position).zip(self.agree_until.get_mut(position));
        let Some((known, agree_until)) = known else { return false };
        // No look at the text of the keys, which is somewhere else in memory.
        self.is_careless |= *agree_until > fork || has_other_lengths(known, entry);
        let agrees = *agree_until == fork;
        *agree_until += u32::from(agrees);
        agrees
    }

    /// The entries that the first forks have and a later one has not.
    fn missed(&self, forks: usize) -> Vec<Row<'a, Id>> {
        let entries = self.entries.iter().zip(self.agree_until.iter().map(|until| *until as usize));
        let missed = entries.filter(|(_, until)| *until < forks);
        missed.flat_map(|(entry, until)| (0..until).map(|fork| ((entry.0, entry.1), fork, entry.2))).collect()
    }

    /// The entries that all forks have.
    fn into_unconflicted(self, forks: usize) -> Vec<Entry<'a, Id>> {
        let (mut entries, mut until) = (self.entries, self.agree_until.into_iter());
        entries.retain(|_| until.next().is_some_and(|until| until as usize == forks));
        entries
    }

    /// The entries of every fork, as they were given.
    fn given(self, found: Vec<Found<'a, Id>>) -> Vec<Vec<Entry<'a, Id>>> {
        let others = found.into_iter().map(|found| {
            let mut others = found.others.into_iter();
            let entry = |position| match position {
                Found::<Id>::OTHER => others.next(),
                position => self.entries.get(position as usize).copied(),
            };
            found.positions.into_iter().filter_map(entry).collect()
        });
        let others: Vec<_> = others.collect();
        [self.entries].into_iter().chain(others).collect()
    }
}

/// How to find keys in a list of entries that is in no order.
///
/// A resolution mostly asks for a few keys only, and going over the list for each of them takes less
/// than an index of all, which is made when more are asked for.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    /// Where the entries are whose state key is empty: few, and asked for in almost every resolution.
    singles: Vec<u32>,
    asked: AtomicUsize,
    index: OnceLock<(Folding, PositionTable)>,
}

/// An index is made after so many questions.
const SEARCHES: usize = 8;

impl Clone for KeyIndex {
    /// The clone starts anew.
    fn clone(&self) -> Self {
        Self { singles: self.singles.clone(), asked: AtomicUsize::default(), index: OnceLock::default() }
    }
}

impl KeyIndex {
    pub(crate) fn new<Id>(entries: &[Entry<'_, Id>]) -> Self {
        let singles = (0..).zip(entries).filter(|(_, entry)| entry.1.is_empty());
        let singles = singles.map(|(position, _)| position).collect();
        Self { singles, asked: AtomicUsize::default(), index: OnceLock::default() }
    }

    pub(crate) fn find<Id>(&self, entries: &[Entry<'_, Id>], key: (&str, &str)) -> Option<usize> {
        if key.1.is_empty() {
            let entry = |position: &u32| Some((*position as usize, entries.get(*position as usize)?));
            let found = self.singles.iter().filter_map(entry).find(|(_, entry)| is_key(entry, key));
            return found.map(|(position, _)| position);
        }
        let is_early = self.index.get().is_none() && self.asked.fetch_add(1, Ordering::Relaxed) < SEARCHES;
        if is_early || entries.len() > PositionTable::POSITIONS_MAX {
            return entries.iter().position(|entry| is_key(entry, key));
        }
        let (hashing, positions) = self.index.get_or_init(|| Self::of(entries));
        let has_key = |position: usize| entries.get(position).is_some_and(|entry| is_key(entry, key));
        positions.find(key_hash(*hashing, key), has_key)
    }

    fn of<Id>(entries: &[Entry<'_, Id>]) -> (Folding, PositionTable) {
        let hashing = Folding::default();
        let mut positions = PositionTable::for_positions(entries.len());
        let mut position = 0;
        for batch in entries.chunks(BATCH) {
            touch(batch.iter().map(|entry| (entry.0, entry.1)));
            for entry in batch {
                let key = (entry.0, entry.1);
                let is_same = |other: usize| entries.get(other).is_some_and(|other| is_key(other, key));
                positions.find_or_insert(key_hash(hashing, key), position, is_same);
                position += 1;
            }
        }
        (hashing, positions)
    }
}

fn is_key<Id>(entry: &Entry<'_, Id>, key: (&str, &str)) -> bool {
    // The state key first: most types are alike.
    entry.1 == key.1 && entry.0 == key.0
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

fn has_event<Id: Eq>(entries: &[Entry<'_, Id>], position: usize, event: &Id) -> bool {
    entries.get(position).is_some_and(|other| other.2 == event)
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
