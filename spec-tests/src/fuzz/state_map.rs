//! Sequences of operations on snapshots.

use std::collections::BTreeMap;

use freehold_state_map::{Entry, LoadError, MemoryStore, NoStore, StateMap};

/// A snapshot does what a `BTreeMap` does, has one shape for one content, tells the differences to
/// what it was, and comes back from a store.
///
/// Four bytes are one operation: what, key (two bytes), value.
///
/// # Panics
///
/// When one of that does not hold.
pub fn state_map_operations(data: &[u8]) {
    let outcome = run(data);
    assert!(outcome.is_ok(), "nothing has to be loaded, nothing can fail: {outcome:?}");
}

fn run(data: &[u8]) -> Result<(), LoadError> {
    let (mut map, mut model) = (StateMap::new(), BTreeMap::new());
    let (mut earlier, mut earlier_model) = (map.clone(), model.clone());
    let mut store = MemoryStore::new();
    for operation in data.chunks_exact(4).take(4096) {
        let [what, high, low, value] = *operation else { continue };
        let key = spread(u64::from(high) << 8 | u64::from(low), what);
        match what % 8 {
            0..4 => {
                let entry = Entry { event: u64::from(value), generation: u64::from(value % 16) };
                assert_eq!(map.insert(key, entry, &NoStore)?, model.insert(key, entry));
            }
            4 | 5 => assert_eq!(map.remove(key, &NoStore)?, model.remove(&key)),
            6 => {
                (earlier, earlier_model) = (map.clone(), model.clone());
                let saved = map.save(&mut store)?;
                let opened = StateMap::open(saved.root, &store)?;
                assert_eq!(entries(&opened, &store)?, model.clone().into_iter().collect::<Vec<_>>());
            }
            _ => compare(&map, &model, &earlier, &earlier_model)?,
        }
        assert_eq!(map.get(key, &NoStore)?, model.get(&key).copied());
        assert_eq!(map.len() as u64, model.len() as u64);
    }
    compare(&map, &model, &earlier, &earlier_model)
}

/// Keys near each other and far apart, by choice of the operation.
fn spread(key: u64, what: u8) -> u64 {
    if what & 0x80 == 0 { key } else { key.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
}

type Model = BTreeMap<u64, Entry>;

fn compare(
    map: &StateMap,
    model: &Model,
    earlier: &StateMap,
    earlier_model: &Model,
) -> Result<(), LoadError> {
    assert_eq!(entries(map, &NoStore)?, model.clone().into_iter().collect::<Vec<_>>());
    let mut rebuilt = StateMap::new();
    for (key, entry) in model.iter().rev() {
        rebuilt.insert(*key, *entry, &NoStore)?;
    }
    assert_eq!(rebuilt.root_id(), map.root_id(), "one content has one shape");
    let differences: Vec<_> =
        earlier.diff(map, &NoStore)?.into_iter().map(|change| (change.key, change.old, change.new)).collect();
    let keys: std::collections::BTreeSet<&u64> = model.keys().chain(earlier_model.keys()).collect();
    let expected =
        keys.into_iter().map(|key| (*key, earlier_model.get(key).copied(), model.get(key).copied()));
    assert_eq!(differences, expected.filter(|(_, old, new)| old != new).collect::<Vec<_>>());
    let highest = map.highest_first(Some(7), &NoStore).collect::<Result<Vec<_>, _>>()?;
    let mut expected: Vec<_> =
        model.iter().filter(|(_, entry)| entry.generation > 7).map(|(k, e)| (*k, *e)).collect();
    expected.sort_by_key(|(key, entry)| (std::cmp::Reverse(entry.generation), *key));
    assert_eq!(highest, expected);
    Ok(())
}

fn entries(
    map: &StateMap,
    store: &impl freehold_state_map::NodeStore,
) -> Result<Vec<(u64, Entry)>, LoadError> {
    map.iter(store).collect()
}
