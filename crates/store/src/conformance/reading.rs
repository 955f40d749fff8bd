//! Laws of reading.

use std::thread;

use super::{NAMES, Place, TEXTS, all, commit, named, wait};
use crate::batch::Batch;
use crate::engine::{Engine, EngineSnapshot, Order, ScanRange};
use crate::key::encoded;
use crate::number::{Position, UserNumber};
use crate::table::TableId;

/// Nothing is in an engine that was never written, and its position is 0.
pub fn an_empty_engine_is_at_position_zero(place: &impl Place) {
    let snapshot = place.open().snapshot().unwrap();
    assert_eq!(snapshot.position(), Position(0));
    assert!(all(&*snapshot, NAMES.id).is_empty());
}

/// Several keys at once: each in its place, also if it is asked for twice or has no row.
pub fn rows_are_found_in_the_order_asked_for(place: &impl Place) {
    let engine = place.open();
    commit(&*engine, named(1, "one")).unwrap();
    commit(&*engine, named(2, "two")).unwrap();
    let snapshot = engine.snapshot().unwrap();
    let keys: Vec<Vec<u8>> = [2, 3, 1, 2].map(|user| encoded(&UserNumber(user))).into();
    let rows = wait(snapshot.get_many(NAMES.id, &keys)).unwrap();
    let texts: Vec<Option<&[u8]>> = rows.iter().map(|row| row.as_deref().map(|row| &row[1..])).collect();
    assert_eq!(texts, [Some(&b"two"[..]), None, Some(b"one"), Some(b"two")]);
    assert!(wait(snapshot.get_many(NAMES.id, &[])).unwrap().is_empty());
    assert_eq!(wait(snapshot.get_many(TEXTS.id, &keys)).unwrap(), [None, None, None, None]);
}

/// Ranges: both ends, both directions, the limit, and neighbouring tables.
pub fn ranges_are_read_in_both_directions_and_end_at_their_table(place: &impl Place) {
    let engine = place.open();
    let mut batch = Batch::new();
    for (table, keys) in [(252_u8, 1_u8..=9), (253, 1..=5), (255, 0..=9)] {
        let table = crate::table::Table::<u8, u8>::new(TableId(table), "");
        keys.for_each(|key| batch.put(&table, &key, &key));
    }
    commit(&*engine, batch).unwrap();
    let snapshot = engine.snapshot().unwrap();
    let scan = |start: &[u8], end: Option<u8>, order, limit| {
        let range = ScanRange { start: start.to_vec(), end: end.map(|end| vec![end]) };
        let rows = wait(snapshot.scan(TableId(253), range, order, limit)).unwrap();
        rows.into_iter()
            .map(|(key, row)| {
                assert_eq!(key, row);
                key[0]
            })
            .collect::<Vec<u8>>()
    };
    assert_eq!(scan(&[], None, Order::Ascending, 99), [1, 2, 3, 4, 5]);
    assert_eq!(scan(&[], None, Order::Descending, 99), [5, 4, 3, 2, 1]);
    assert_eq!(scan(&[2], Some(4), Order::Ascending, 99), [2, 3]);
    assert_eq!(scan(&[2], Some(4), Order::Descending, 99), [3, 2]);
    assert_eq!(scan(&[2], None, Order::Ascending, 2), [2, 3]);
    assert_eq!(scan(&[2], None, Order::Descending, 2), [5, 4]);
    assert_eq!(scan(&[3, 0], None, Order::Ascending, 1), [4]);
    assert_eq!(scan(&[0], Some(1), Order::Ascending, 99), [0_u8; 0]);
    assert_eq!(scan(&[], None, Order::Ascending, 0), [0_u8; 0]);
}

/// A range that ends where it starts, or before, or lies behind the last key.
pub fn a_range_without_keys_is_empty(place: &impl Place) {
    let engine = place.open();
    commit(&*engine, named(1, "one")).unwrap();
    let snapshot = engine.snapshot().unwrap();
    let bytes = |user: u64| encoded(&UserNumber(user));
    for (start, end) in [(1, Some(1)), (9, Some(1)), (2, Some(9)), (2, None)] {
        for order in [Order::Ascending, Order::Descending] {
            let range = ScanRange { start: bytes(start), end: end.map(bytes) };
            assert!(wait(snapshot.scan(NAMES.id, range, order, 9)).unwrap().is_empty());
        }
    }
}

/// A snapshot shows for ever what it showed when it was taken.
pub fn snapshots_do_not_change(place: &impl Place) {
    let engine = place.open();
    commit(&*engine, named(1, "one")).unwrap();
    let before = engine.snapshot().unwrap();
    let shown = all(&*before, NAMES.id);
    let mut batch = named(1, "another");
    batch.put(&NAMES, &UserNumber(0), &"new".to_owned());
    commit(&*engine, batch).unwrap();
    let mut gone = Batch::new();
    gone.delete(&NAMES, &UserNumber(1));
    commit(&*engine, gone).unwrap();
    assert_eq!(before.position(), Position(1));
    assert_eq!(all(&*before, NAMES.id), shown);
    let keys = [encoded(&UserNumber(1))];
    assert_eq!(wait(before.get_many(NAMES.id, &keys)).unwrap(), [Some(shown[0].1.clone())]);
    let after = engine.snapshot().unwrap();
    assert_eq!((after.position(), all(&*after, NAMES.id).len()), (Position(3), 1));
}

/// Snapshots held while everything is overwritten and deleted again and again, from two threads.
pub fn snapshots_survive_whatever_is_overwritten(place: &impl Place) {
    let engine = place.open();
    let held: Vec<_> = thread::scope(|scope| {
        let writers: Vec<_> = (0..2_u64)
            .map(|writer| {
                let engine = &engine;
                scope.spawn(move || {
                    (0..120).map(|round| overwrite(&**engine, writer, round)).collect::<Vec<_>>()
                })
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).flatten().collect()
    });
    for (snapshot, shown) in held {
        assert_eq!(all(&*snapshot, NAMES.id), shown, "at position {}", snapshot.position());
    }
}

type Held = (Box<dyn EngineSnapshot>, Vec<(Vec<u8>, Vec<u8>)>);

/// Changes one of ten users; now and then returns a snapshot with what it shows now.
fn overwrite(engine: &dyn Engine, writer: u64, round: u64) -> Option<Held> {
    let user = writer * 100 + round % 5;
    let mut batch = named(user, &format!("{round}").repeat(300));
    if round % 7 == 6 {
        batch.delete(&NAMES, &UserNumber(user));
    }
    commit(engine, batch).unwrap();
    (round % 10 == 9).then(|| {
        let snapshot = engine.snapshot().unwrap();
        let shown = all(&*snapshot, NAMES.id);
        (snapshot, shown)
    })
}
