//! Snapshots of state: one change in a large map, and differences.

use std::collections::BTreeMap;

use freehold_state_map::{Entry, MemoryStore, NoStore, StateMap};

use crate::table::{Table, Target};

const ENTRIES: u64 = 100_000;

pub(crate) fn rows(table: &mut Table) {
    let map = filled();
    let mut number = 0;
    table.alone("change one key in 100,000", Target::Seconds(2e-6), 0, || {
        number += 1;
        changed(&map, number, 1)
    });
    table.alone("change one key in 100,000, and name the new content", Target::None, 0, || {
        number += 1;
        changed(&map, number, 1).root_id()
    });
    table.figure("change one key in 100,000: new bytes", Target::Bytes(2048.0), new_bytes(&map));
    for changes in [1, 10, 100, 1_000, 10_000] {
        let newer = changed(&map, 1, changes);
        assert_eq!(differences(&map, &newer), changes as usize);
        table.alone(&format!("difference of two snapshots {changes} keys apart"), Target::None, 0, || {
            differences(&map, &newer)
        });
    }
    let tree: BTreeMap<u64, Entry> = map.iter(&NoStore).flatten().collect();
    let keys: Vec<u64> = (0..1000).map(|number| number * 7919 % ENTRIES).collect();
    table.against(
        "1,000 look-ups, against the standard library's BTreeMap",
        Target::None,
        || keys.iter().filter(|key| map.get(**key, &NoStore).is_ok_and(|entry| entry.is_some())).count(),
        || keys.iter().filter(|key| tree.contains_key(key)).count(),
    );
}

fn entry(event: u64) -> Entry {
    Entry { event, generation: event % 50 }
}

fn filled() -> StateMap {
    let mut map = StateMap::new();
    for key in 0..ENTRIES {
        let inserted = map.insert(key, entry(key), &NoStore);
        assert!(inserted.is_ok_and(|old| old.is_none()));
    }
    map.root_id();
    map
}

fn changed(map: &StateMap, salt: u64, changes: u64) -> StateMap {
    let mut newer = map.clone();
    for change in 0..changes {
        let key = (salt * 104_729 + change * 9_973) % ENTRIES;
        let inserted = newer.insert(key, entry(ENTRIES + salt + change), &NoStore);
        assert!(inserted.is_ok());
    }
    newer
}

fn differences(old: &StateMap, new: &StateMap) -> usize {
    old.diff(new, &NoStore).map_or(0, |changes| changes.len())
}

fn new_bytes(map: &StateMap) -> f64 {
    let mut store = MemoryStore::default();
    let saved = map.save(&mut store);
    assert!(saved.is_ok());
    let worst = (0..200)
        .filter_map(|salt| changed(map, salt, 1).save_changes(map, &mut store).ok())
        .map(|saved| saved.bytes);
    worst.max().unwrap_or(usize::MAX) as f64
}
