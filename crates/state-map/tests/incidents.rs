//! What went wrong elsewhere and must not happen here.

use std::collections::BTreeMap;

use freehold_state_map::{Entry, MemoryStore, NoStore, StateMap};

fn entry(event: u64) -> Entry {
    Entry { event, generation: event % 7 }
}

/// Dendrite stored the state of a room as blocks shared between snapshots, and an off-by-one in
/// finding the blocks that were already there lost entries at the edges of blocks: rooms fell back
/// to old state for years (its change log, 0.13.1). Here: every state set around the sizes at which
/// nodes split and join comes back from the store as it went in, also when nearly all of its nodes
/// are shared with the set before.
#[test]
fn dendrite_0_13_1_every_state_set_comes_back_from_deduplicated_storage() {
    let mut nodes = MemoryStore::new();
    let (mut map, mut base) = (StateMap::new(), StateMap::new());
    base.save(&mut nodes).unwrap();
    let mut model = BTreeMap::new();
    let mut sets = Vec::new();
    // Grow through every size up to well beyond one leaf and one level of branches, then shrink
    // from the front and from the back.
    let grow = (0..600u64).map(|key| (key, Some(entry(key))));
    let replace = [0, 15, 16, 31, 32, 255, 256, 599].map(|key| (key, Some(entry(10_000 + key))));
    let shrink = (0..300).flat_map(|step| [(step, None), (599 - step, None)]);
    for (key, value) in grow.chain(replace).chain(shrink) {
        match value {
            Some(entry) => {
                map.insert(key, entry, &nodes).unwrap();
                model.insert(key, entry);
            }
            None => {
                map.remove(key, &nodes).unwrap();
                model.remove(&key);
            }
        }
        let saved = map.save_changes(&base, &mut nodes).unwrap();
        base = map.clone();
        sets.push((saved.root, model.clone()));
    }
    for (root, model) in &sets {
        let map = StateMap::open(*root, &nodes).unwrap();
        let found: BTreeMap<u64, Entry> = map.iter(&nodes).collect::<Result<_, _>>().unwrap();
        assert_eq!(&found, model);
        assert_eq!(map.len(), model.len());
    }
    assert!(map.is_empty());
}

/// The same, for state sets that differ from their neighbours in one entry at each edge of each node.
#[test]
fn neighbouring_state_sets_are_told_apart_at_every_position() {
    let full: BTreeMap<u64, Entry> = (0..300).map(|key| (key * 3, entry(key))).collect();
    let base: StateMap = full.clone().into_iter().collect();
    for missing in full.keys() {
        let mut map = base.clone();
        map.remove(*missing, &NoStore).unwrap();
        assert_ne!(map.root_id(), base.root_id());
        let changes = base.diff(&map, &NoStore).unwrap();
        assert_eq!(changes.iter().map(|change| change.key).collect::<Vec<_>>(), [*missing]);
        let found: Vec<u64> = map.iter(&NoStore).map(|item| item.unwrap().0).collect();
        assert!(full.keys().filter(|key| *key != missing).eq(&found));
    }
}
