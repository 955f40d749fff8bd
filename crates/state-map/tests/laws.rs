//! The map against `BTreeMap`, on random sequences of operations.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::collections::{BTreeMap, BTreeSet};

use freehold_state_map::{
    Change, Entry, LoadError, MemoryStore, NoStore, NodeId, NodeStore, StateMap, collect_garbage,
};
use proptest::collection::vec;
use proptest::prelude::*;

type Model = BTreeMap<u64, Entry>;

#[derive(Clone, Debug)]
enum Operation {
    Insert(u64, Entry),
    Remove(u64),
}

/// Keys as interning gives them (small and dense), keys that share long prefixes, and keys from anywhere.
fn key() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..200u64,
        2 => (0..8u64, 0..40u64).prop_map(|(high, low)| high << 44 | low),
        1 => any::<u64>(),
        1 => prop_oneof![Just(0), Just(u64::MAX), Just(u64::MAX - 1), Just(1 << 60)],
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (0..5u64, 0..9u64).prop_map(|(event, generation)| Entry { event, generation })
}

fn operations(max: usize) -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        3 => (key(), entry()).prop_map(|(key, entry)| Operation::Insert(key, entry)),
        2 => key().prop_map(Operation::Remove),
    ];
    vec(operation, 0..max)
}

fn content(max: usize) -> impl Strategy<Value = Model> {
    proptest::collection::btree_map(key(), entry(), 0..max)
}

fn map_of(model: &Model) -> StateMap {
    model.iter().map(|(key, entry)| (*key, *entry)).collect()
}

fn entries(map: &StateMap, nodes: &MemoryStore) -> Model {
    map.iter(nodes).collect::<Result<_, _>>().unwrap()
}

fn apply(map: &mut StateMap, model: &mut Model, operation: &Operation, nodes: &MemoryStore) {
    match *operation {
        Operation::Insert(key, entry) => {
            assert_eq!(map.insert(key, entry, nodes).unwrap(), model.insert(key, entry));
        }
        Operation::Remove(key) => assert_eq!(map.remove(key, nodes).unwrap(), model.remove(&key)),
    }
    assert_eq!(map.len(), model.len());
}

fn expected_changes(old: &Model, new: &Model) -> Vec<Change> {
    let keys: BTreeSet<u64> = old.keys().chain(new.keys()).copied().collect();
    keys.into_iter()
        .map(|key| Change { key, old: old.get(&key).copied(), new: new.get(&key).copied() })
        .filter(|change| change.old != change.new)
        .collect()
}

fn highest_first(model: &Model, above: Option<u64>) -> Vec<(u64, Entry)> {
    let mut found: Vec<_> = model
        .iter()
        .filter(|(_, entry)| above.is_none_or(|above| entry.generation > above))
        .map(|(key, entry)| (*key, *entry))
        .collect();
    found.sort_by_key(|(key, entry)| (std::cmp::Reverse(entry.generation), *key));
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_sequence_of_operations_agrees_with_a_btree_map(operations in operations(300), probes in vec(key(), 0..20)) {
        let (mut map, mut model, nodes) = (StateMap::new(), Model::new(), MemoryStore::new());
        for operation in &operations {
            let (before, content) = (map.clone(), model.clone());
            apply(&mut map, &mut model, operation, &nodes);
            prop_assert_eq!(before.len(), content.len());
        }
        prop_assert_eq!(entries(&map, &nodes), model.clone());
        for key in probes.iter().chain(model.keys()) {
            prop_assert_eq!(map.get(*key, &NoStore).unwrap(), model.get(key).copied());
        }
        prop_assert_eq!(map.max_generation(), model.values().map(|entry| entry.generation).max());
        prop_assert_eq!(map.is_empty(), model.is_empty());
    }

    #[test]
    fn the_root_depends_on_the_content_alone(operations in operations(300)) {
        let (mut map, mut model, nodes) = (StateMap::new(), Model::new(), MemoryStore::new());
        for operation in &operations {
            apply(&mut map, &mut model, operation, &nodes);
        }
        let mut backwards = StateMap::new();
        for (key, entry) in model.iter().rev() {
            backwards.insert(*key, *entry, &NoStore).unwrap();
        }
        prop_assert_eq!(map.root_id(), map_of(&model).root_id());
        prop_assert_eq!(map.root_id(), backwards.root_id());
        // Not only the ids: the nodes are the same ones.
        let (mut one, mut other) = (MemoryStore::new(), MemoryStore::new());
        map.save(&mut one).unwrap();
        backwards.save(&mut other).unwrap();
        prop_assert_eq!(one, other);
    }

    #[test]
    fn different_content_has_a_different_root(one in content(80), other in content(80)) {
        prop_assert_eq!(map_of(&one) == map_of(&other), one == other);
        prop_assert_eq!(map_of(&one).root_id() == map_of(&other).root_id(), one == other);
    }

    #[test]
    fn the_last_entry_of_a_key_wins(items in vec((key(), entry()), 0..120)) {
        let map: StateMap = items.iter().copied().collect();
        prop_assert_eq!(entries(&map, &MemoryStore::new()), items.iter().copied().collect::<Model>());
    }

    #[test]
    fn a_change_leaves_every_other_snapshot_alone(start in content(150), operations in operations(60)) {
        let nodes = MemoryStore::new();
        let (mut map, mut model) = (map_of(&start), start);
        let mut snapshots = Vec::new();
        for operation in &operations {
            snapshots.push((map.clone(), model.clone()));
            apply(&mut map, &mut model, operation, &nodes);
        }
        for (map, model) in &snapshots {
            prop_assert_eq!(&entries(map, &nodes), model);
        }
    }

    #[test]
    fn a_diff_names_exactly_the_keys_that_differ(start in content(200), left in operations(40), right in operations(40)) {
        let nodes = MemoryStore::new();
        let (mut a, mut a_model) = (map_of(&start), start.clone());
        let (mut b, mut b_model) = (a.clone(), start);
        left.iter().for_each(|operation| apply(&mut a, &mut a_model, operation, &nodes));
        right.iter().for_each(|operation| apply(&mut b, &mut b_model, operation, &nodes));
        let expected = expected_changes(&a_model, &b_model);
        prop_assert_eq!(a.diff(&b, &NoStore).unwrap(), expected.clone());
        prop_assert_eq!(map_of(&a_model).diff(&b, &NoStore).unwrap(), expected.clone());
        let _ = (a.root_id(), b.root_id());
        prop_assert_eq!(a.diff(&b, &NoStore).unwrap(), expected);
    }

    #[test]
    fn maps_without_a_common_history_are_compared_rightly(one in content(200), other in content(200)) {
        let expected = expected_changes(&one, &other);
        prop_assert_eq!(map_of(&one).diff(&map_of(&other), &NoStore).unwrap(), expected);
    }

    #[test]
    fn an_n_way_diff_names_every_key_on_which_any_two_differ(
        start in content(120),
        edits in vec(operations(25), 0..6),
    ) {
        let nodes = MemoryStore::new();
        let forks: Vec<(StateMap, Model)> = edits
            .iter()
            .map(|operations| {
                let (mut map, mut model) = (map_of(&start), start.clone());
                operations.iter().for_each(|operation| apply(&mut map, &mut model, operation, &nodes));
                (map, model)
            })
            .collect();
        let keys: BTreeSet<u64> = forks.iter().flat_map(|(_, model)| model.keys().copied()).collect();
        let expected: Vec<(u64, Vec<Option<Entry>>)> = keys
            .into_iter()
            .map(|key| (key, forks.iter().map(|(_, model)| model.get(&key).copied()).collect::<Vec<_>>()))
            .filter(|(_, row)| row.iter().any(|entry| *entry != row[0]))
            .collect();
        let maps: Vec<&StateMap> = forks.iter().map(|(map, _)| map).collect();
        let found = StateMap::differences(&maps, &NoStore).unwrap();
        let rows: Vec<(u64, Vec<Option<Entry>>)> = found.iter().map(|(key, row)| (key, row.to_vec())).collect();
        prop_assert_eq!(found.len(), expected.len());
        prop_assert_eq!(found.is_empty(), expected.is_empty());
        prop_assert_eq!(rows, expected);
    }

    #[test]
    fn generations_come_highest_first(model in content(250), above in proptest::option::of(0..9u64)) {
        let map = map_of(&model);
        let found: Vec<_> = map.highest_first(above, &NoStore).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(found, highest_first(&model, above));
    }

    #[test]
    fn a_stored_map_behaves_like_the_one_in_memory(
        start in content(200),
        operations in operations(60),
        later in operations(20),
    ) {
        let mut nodes = MemoryStore::new();
        let base = map_of(&start);
        base.save(&mut nodes).unwrap();
        let mut opened = StateMap::open(base.root_id(), &nodes).unwrap();
        prop_assert_eq!(opened.len(), start.len());
        prop_assert_eq!(opened.max_generation(), base.max_generation());
        let mut model = start.clone();
        operations.iter().for_each(|operation| apply(&mut opened, &mut model, operation, &nodes));
        prop_assert_eq!(opened.root_id(), map_of(&model).root_id());
        prop_assert_eq!(base.diff(&opened, &nodes).unwrap(), expected_changes(&start, &model));

        let saved = opened.save_changes(&base, &mut nodes).unwrap();
        let mut again = StateMap::open(saved.root, &nodes).unwrap();
        let found: Vec<_> = again.highest_first(None, &nodes).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(found, highest_first(&model, None));
        later.iter().for_each(|operation| apply(&mut again, &mut model, operation, &nodes));
        prop_assert_eq!(entries(&again, &nodes), model);
    }

    #[test]
    fn saving_only_the_changes_stores_the_same_nodes_as_saving_everything(
        start in content(200),
        operations in operations(60),
    ) {
        let (mut everything, mut changes) = (MemoryStore::new(), MemoryStore::new());
        let base = map_of(&start);
        base.save(&mut everything).unwrap();
        base.save(&mut changes).unwrap();
        let (mut map, mut model) = (base.clone(), start);
        operations.iter().for_each(|operation| apply(&mut map, &mut model, operation, &MemoryStore::new()));
        map.save(&mut everything).unwrap();
        map.save_changes(&base, &mut changes).unwrap();
        prop_assert_eq!(everything, changes);
    }

    #[test]
    fn garbage_collection_keeps_exactly_what_the_roots_reach(
        start in content(150),
        edits in vec((operations(20), any::<bool>()), 1..6),
    ) {
        let mut nodes = MemoryStore::new();
        let (mut map, mut model) = (map_of(&start), start);
        let mut kept = Vec::new();
        for (operations, keep) in &edits {
            operations.iter().for_each(|operation| apply(&mut map, &mut model, operation, &nodes));
            map.save(&mut nodes).unwrap();
            if *keep {
                kept.push((map.root_id(), model.clone()));
            }
        }
        let before = nodes.iter().count();
        let swept = collect_garbage(kept.iter().map(|(root, _)| *root), &mut nodes).unwrap();

        let mut needed = MemoryStore::new();
        kept.iter().for_each(|(_, model)| {
            map_of(model).save(&mut needed).unwrap();
        });
        prop_assert_eq!(swept.kept, needed.iter().count());
        prop_assert_eq!(swept.kept + swept.forgotten, before);
        prop_assert_eq!(&nodes, &needed);
        for (root, model) in &kept {
            prop_assert_eq!(&entries(&StateMap::open(*root, &nodes).unwrap(), &nodes), model);
        }
    }

    #[test]
    fn one_flipped_bit_in_the_store_is_noticed(model in content(120), at in any::<prop::sample::Index>(), bit in 0..8u32) {
        // The map without entries is known by its id and read from no store.
        prop_assume!(!model.is_empty());
        let mut nodes = MemoryStore::new();
        let root = map_of(&model).save(&mut nodes).unwrap().root;
        let all: Vec<_> = nodes.iter().map(|(id, bytes)| (*id, bytes.to_vec())).collect();
        let total: usize = all.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut at = at.index(total);
        let mut damaged = MemoryStore::new();
        for (id, mut bytes) in all {
            if at < bytes.len() {
                bytes[at] ^= 1 << bit;
                at = usize::MAX;
            } else if at != usize::MAX {
                at -= bytes.len();
            }
            damaged.put(id, &bytes).unwrap();
        }
        let read = StateMap::open(root, &damaged)
            .and_then(|map| map.iter(&damaged).collect::<Result<Model, _>>());
        let is_noticed = matches!(read, Err(LoadError::Corrupt { .. }));
        prop_assert!(is_noticed, "{:?}", read);
    }

    #[test]
    fn arbitrary_bytes_with_the_right_hash_are_a_node_or_a_typed_error(
        model in content(120),
        which in any::<prop::sample::Index>(),
        edits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        rest in vec(any::<u8>(), 0..3),
    ) {
        // The map without entries has no node.
        prop_assume!(!model.is_empty());
        let mut nodes = MemoryStore::new();
        map_of(&model).save(&mut nodes).unwrap();
        let all: Vec<Vec<u8>> = nodes.iter().map(|(_, bytes)| bytes.to_vec()).collect();
        let mut bytes = all[which.index(all.len())].clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend(rest);
        let id = NodeId::of(&bytes);
        nodes.put(id, &bytes).unwrap();
        // Equal content has equal bytes: what opens as a whole map is written in the only way there is.
        if let Ok(map) = StateMap::open(id, &nodes)
            && let Ok(entries) = map.iter(&nodes).collect::<Result<Model, _>>()
        {
            prop_assert_eq!(map_of(&entries).root_id(), id);
        }
    }
}
