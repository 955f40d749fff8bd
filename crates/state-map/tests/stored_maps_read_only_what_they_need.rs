//! How many nodes the operations on stored maps read and write.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::borrow::Cow;
use std::cell::Cell;

use freehold_state_map::{
    Corruption, Entry, LoadError, MemoryStore, NoStore, NodeId, NodeStore, Reachable, StateMap, StoreError,
    SweepStore, collect_garbage,
};

/// Counts reads and writes.
#[derive(Default)]
struct Counting {
    inner: MemoryStore,
    reads: Cell<usize>,
    written_bytes: usize,
}

impl NodeStore for Counting {
    fn get(&self, id: &NodeId) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        self.reads.set(self.reads.get() + 1);
        self.inner.get(id)
    }

    fn put(&mut self, id: NodeId, bytes: &[u8]) -> Result<(), StoreError> {
        self.written_bytes += bytes.len();
        self.inner.put(id, bytes)
    }
}

const MEMBERS: u64 = 100_000;

fn entry(event: u64) -> Entry {
    Entry { event, generation: 3 + event % 5 }
}

fn large_room() -> StateMap {
    (0..MEMBERS).map(|key| (key, entry(1_000_000 + key))).collect()
}

/// Keys that are spread over all 64 bits.
fn scattered_room() -> StateMap {
    (0..MEMBERS).map(|key| (key.wrapping_mul(0x9e37_79b9_7f4a_7c15), entry(1_000_000 + key))).collect()
}

fn stored(map: &StateMap) -> Counting {
    let mut nodes = Counting::default();
    map.save(&mut nodes).unwrap();
    nodes.reads.set(0);
    nodes.written_bytes = 0;
    nodes
}

#[test]
fn changing_one_key_in_100_000_writes_at_most_2_kib() {
    for (name, base) in [("dense", large_room()), ("scattered", scattered_room())] {
        let keys: Vec<u64> = base.iter(&NoStore).map(|item| item.unwrap().0).step_by(997).collect();
        let mut nodes = stored(&base);
        for key in keys {
            let mut map = base.clone();
            map.insert(key, Entry { event: 5_000_000 + key % 10, generation: 700 }, &NoStore).unwrap();
            let saved = map.save_changes(&base, &mut nodes).unwrap();
            assert!(saved.bytes <= 2_048, "{name} {key}: {saved:?}");
            assert!(saved.nodes <= 5, "{name} {key}: {saved:?}");
            assert_eq!(nodes.reads.get(), 0);
        }
    }
}

#[test]
fn all_of_a_stored_map_is_fetched_with_one_question_for_each_level() {
    for (name, base) in [("dense", large_room()), ("scattered", scattered_room())] {
        let (all, mut fetched) = (stored(&base), MemoryStore::new());
        let map = StateMap::open(base.root_id(), &all).unwrap();
        let mut questions = 0;
        loop {
            let missing = map.missing(&fetched).unwrap();
            if missing.is_empty() {
                break;
            }
            questions += 1;
            for id in missing {
                fetched.put(id, &all.inner.get(&id).unwrap().unwrap()).unwrap();
            }
        }
        assert!(questions <= 5, "{name}: {questions}");
        assert!(map.iter(&fetched).map(Result::unwrap).eq(base.iter(&NoStore).map(Result::unwrap)), "{name}");
    }
}

#[test]
fn get_and_insert_on_a_stored_map_read_one_path() {
    let base = large_room();
    let nodes = stored(&base);
    let mut map = StateMap::open(base.root_id(), &nodes).unwrap();
    assert_eq!(nodes.reads.get(), 1);
    assert_eq!(map.get(54_321, &nodes).unwrap(), Some(entry(1_054_321)));
    assert_eq!(nodes.reads.get(), 5);
    // What was read stays read.
    map.insert(54_321, entry(7), &nodes).unwrap();
    map.insert(54_320, entry(8), &nodes).unwrap();
    assert_eq!(nodes.reads.get(), 5);
    assert_eq!(map.len(), 100_000);
}

#[test]
fn a_diff_of_stored_maps_reads_only_the_paths_that_differ() {
    let base = large_room();
    let mut map = base.clone();
    for key in [3, 4, 50_000, 99_999] {
        map.insert(key, entry(9_000_000 + key), &NoStore).unwrap();
    }
    let mut nodes = stored(&base);
    map.save_changes(&base, &mut nodes).unwrap();
    let opened = [base.root_id(), map.root_id()].map(|root| StateMap::open(root, &nodes).unwrap());
    nodes.reads.set(0);
    let [old, new] = &opened;
    let keys: Vec<u64> = old.diff(new, &nodes).unwrap().iter().map(|change| change.key).collect();
    assert_eq!(keys, [3, 4, 50_000, 99_999]);
    assert!(nodes.reads.get() <= 2 * 3 * 4, "{}", nodes.reads.get());
}

#[test]
fn the_highest_generations_are_found_without_reading_the_rest() {
    let mut base = large_room();
    for key in [17, 70_000] {
        base.insert(key, Entry { event: key, generation: 1_000 + key }, &NoStore).unwrap();
    }
    let nodes = stored(&base);
    let map = StateMap::open(base.root_id(), &nodes).unwrap();
    let keys: Vec<u64> = map.highest_first(Some(7), &nodes).map(|item| item.unwrap().0).collect();
    assert_eq!(keys, [70_000, 17]);
    assert_eq!(nodes.reads.get(), 9);
    assert_eq!(map.highest_first(None, &nodes).next().unwrap().unwrap().0, 70_000);
    assert_eq!(map.highest_first(Some(u64::MAX), &nodes).count(), 0);
    assert_eq!(nodes.reads.get(), 9);
}

#[test]
fn a_missing_node_is_named_and_can_be_fetched_later() {
    let base = large_room();
    let everything = stored(&base).inner;
    let mut fetched = MemoryStore::new();
    let mut fetch = |id: NodeId| {
        let bytes = everything.get(&id).unwrap().unwrap().into_owned();
        fetched.put(id, &bytes).unwrap();
        fetched.clone()
    };
    let mut nodes = fetch(base.root_id());
    let map = StateMap::open(base.root_id(), &nodes).unwrap();
    let mut fetches = 0;
    let found = loop {
        match map.get(12_345, &nodes) {
            Ok(found) => break found,
            Err(LoadError::Missing { id }) => nodes = fetch(id),
            Err(other) => panic!("{other}"),
        }
        fetches += 1;
    };
    assert_eq!(found, Some(entry(1_012_345)));
    assert_eq!(fetches, 4);
}

#[test]
fn a_failed_change_leaves_the_map_as_it_was() {
    let base = large_room();
    let nodes = stored(&base);
    let mut map = StateMap::open(base.root_id(), &nodes).unwrap();
    assert!(matches!(map.insert(5, entry(1), &NoStore), Err(LoadError::Missing { .. })));
    assert!(matches!(map.remove(5, &NoStore), Err(LoadError::Missing { .. })));
    assert_eq!(map.root_id(), base.root_id());
    assert!(matches!(map.iter(&NoStore).next(), Some(Err(LoadError::Missing { .. }))));
    assert!(matches!(map.highest_first(None, &NoStore).next(), Some(Err(LoadError::Missing { .. }))));
    assert_eq!(map.insert(5, entry(1), &nodes).unwrap(), Some(entry(1_000_005)));
}

#[test]
fn removing_down_to_a_leaf_reads_its_sisters_or_fails_whole() {
    let base: StateMap = (0..33).map(|key| (key, entry(key))).collect();
    let nodes = stored(&base);
    let mut map = StateMap::open(base.root_id(), &nodes).unwrap();
    assert!(map.get(0, &nodes).unwrap().is_some());
    assert!(matches!(map.remove(0, &NoStore), Err(LoadError::Missing { .. })));
    assert_eq!(map, base);
    map.remove(0, &nodes).unwrap();
    assert_eq!(map, (1..33).map(|key| (key, entry(key))).collect());
}

#[test]
fn bytes_filed_under_another_id_are_refused() {
    let base: StateMap = (0..10).map(|key| (key, entry(key))).collect();
    let other: StateMap = (0..11).map(|key| (key, entry(key))).collect();
    let nodes = stored(&base).inner;
    let mut swapped = MemoryStore::new();
    let bytes = nodes.get(&base.root_id()).unwrap().unwrap().into_owned();
    swapped.put(other.root_id(), &bytes).unwrap();
    let refused = StateMap::open(other.root_id(), &swapped);
    assert!(
        matches!(refused, Err(LoadError::Corrupt { id, what: Corruption::Hash }) if id == other.root_id())
    );
}

#[test]
fn saving_a_map_that_was_not_loaded_into_another_store_is_refused() {
    let base = large_room();
    let nodes = stored(&base);
    let map = StateMap::open(base.root_id(), &nodes).unwrap();
    let mut elsewhere = MemoryStore::new();
    assert!(matches!(map.save(&mut elsewhere), Err(LoadError::Missing { .. })));
    assert_eq!(map.iter(&nodes).count(), 100_000);
    map.save(&mut elsewhere).unwrap();
    assert_eq!(elsewhere, nodes.inner);
}

#[test]
fn marking_walks_shared_nodes_once_and_reads_no_leaf_below_a_branch() {
    let base = large_room();
    let mut map = base.clone();
    map.insert(77, entry(1), &NoStore).unwrap();
    let mut nodes = stored(&base);
    map.save_changes(&base, &mut nodes).unwrap();
    let mut live = Reachable::new();
    live.mark(base.root_id(), &nodes).unwrap();
    let (reads, marked) = (nodes.reads.replace(0), live.len());
    assert!(reads * 10 < marked, "{reads} reads for {marked} nodes");
    live.mark(map.root_id(), &nodes).unwrap();
    assert_eq!((nodes.reads.get(), live.len()), (4, marked + 5));
}

#[test]
fn nothing_is_forgotten_when_a_root_cannot_be_marked() {
    let base = large_room();
    let mut nodes = stored(&base).inner;
    let before = nodes.clone();
    let unknown: StateMap = (0..5).map(|key| (key, entry(key))).collect();
    assert!(collect_garbage([base.root_id(), unknown.root_id()], &mut nodes).is_err());
    assert_eq!(nodes, before);
}

/// Fails after some deletions, as a process that is killed does.
struct Interrupted {
    inner: MemoryStore,
    deletions_left: usize,
}

impl NodeStore for Interrupted {
    fn get(&self, id: &NodeId) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        self.inner.get(id)
    }

    fn put(&mut self, id: NodeId, bytes: &[u8]) -> Result<(), StoreError> {
        self.inner.put(id, bytes)
    }
}

impl SweepStore for Interrupted {
    fn ids(&self) -> Result<Vec<NodeId>, StoreError> {
        self.inner.ids()
    }

    fn forget(&mut self, id: &NodeId) -> Result<(), StoreError> {
        self.deletions_left = self.deletions_left.checked_sub(1).ok_or("killed")?;
        self.inner.forget(id)
    }
}

#[test]
fn a_map_saved_again_after_an_interrupted_sweep_is_whole() {
    let room: StateMap = (0..2_000).map(|key| (key, entry(key))).collect();
    let whole = stored(&room).inner;
    for deletions_left in 0..whole.iter().count() {
        let mut nodes = Interrupted { inner: whole.clone(), deletions_left };
        assert!(collect_garbage([], &mut nodes).is_err());
        room.save(&mut nodes).unwrap();
        assert_eq!(nodes.inner, whole, "after {deletions_left} deletions");
    }
}

#[test]
fn the_map_without_entries_is_known_by_its_id_and_never_stored() {
    let mut store = MemoryStore::new();
    let empty = StateMap::new();
    assert_eq!(empty.save(&mut store).unwrap().nodes, 0);
    let mut emptied: StateMap = [(1, entry(1))].into_iter().collect();
    let base = emptied.clone();
    emptied.remove(1, &NoStore).unwrap();
    assert_eq!(emptied.save_changes(&base, &mut store).unwrap().root, empty.root_id());
    assert_eq!(store.iter().count(), 0);

    assert!(StateMap::open(empty.root_id(), &store).unwrap().is_empty());
    let mut reachable = Reachable::new();
    reachable.mark(empty.root_id(), &store).unwrap();
    assert!(reachable.is_empty());
}
