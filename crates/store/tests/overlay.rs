//! What an overlay shows is what its batch makes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

mod support;

use std::sync::Arc;

use freehold_store::{
    Batch, CommitError, MemoryEngine, Order, Overlay, Position, Snapshot, Store, Table, TableId, UserNumber,
    Writes,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use support::now;

const NAMES: Table<UserNumber, String> = Table::new(TableId::EXAMPLE, "names");

fn all(snapshot: &Snapshot, order: Order, limit: usize) -> Vec<(UserNumber, String)> {
    now(snapshot.scan_prefix(&NAMES, &(), order, limit)).unwrap()
}

/// What is done to the row of a key.
#[derive(Clone, Debug)]
enum Change {
    Put,
    Delete,
    /// Once the position is known; of a key that nothing else changes.
    Last,
}

fn changes() -> impl Strategy<Value = Vec<(u64, Change)>> {
    let change = prop_oneof![Just(Change::Put), Just(Change::Delete), Just(Change::Last)];
    vec((0..24_u64, change), 0..12)
}

proptest! {
    #[test]
    fn an_overlay_shows_what_its_batch_makes(
        rows in btree_set(0..24_u64, 0..12),
        changes in changes(),
        limit in 0..14_usize,
    ) {
        let store = now(Store::open(Arc::new(MemoryEngine::new()))).unwrap();
        let mut batch = Batch::new();
        rows.iter().for_each(|number| batch.put(&NAMES, &UserNumber(*number), &"old".to_owned()));
        now(store.commit(batch)).unwrap();
        let mut overlay = Overlay::over(&store.snapshot().unwrap());
        let view = overlay.snapshot();
        for (number, change) in changes {
            let last = move |_, writes: &mut Writes| writes.put(&NAMES, &UserNumber(100 + number), &"last".to_owned());
            match change {
                Change::Put => overlay.write(|writes| writes.put(&NAMES, &UserNumber(number), &"new".to_owned())),
                Change::Delete => overlay.write(|writes| writes.delete(&NAMES, &UserNumber(number))),
                Change::Last => overlay.at_position(last),
            }
        }
        let looked = |snapshot: &Snapshot| {
            let orders = [Order::Ascending, Order::Descending];
            let scans = orders.map(|order| (all(snapshot, order, limit), all(snapshot, order, usize::MAX)));
            let single: Vec<_> = (0..130).map(|number| now(snapshot.get(&NAMES, &UserNumber(number))).unwrap()).collect();
            (scans, single)
        };
        let shown = looked(&view);
        now(store.commit(now(overlay.into_batch()).unwrap())).unwrap();
        prop_assert_eq!(shown, looked(&store.snapshot().unwrap()));
    }
}

#[test]
fn what_somebody_else_changed_meanwhile_is_not_overwritten() {
    let store = now(Store::open(Arc::new(MemoryEngine::new()))).unwrap();
    let mut overlay = Overlay::over(&store.snapshot().unwrap());
    overlay.write(|writes| writes.put(&NAMES, &UserNumber(1), &"mine".to_owned()));
    let mut batch = Batch::new();
    batch.put(&NAMES, &UserNumber(1), &"theirs".to_owned());
    now(store.commit(batch)).unwrap();
    let conflict = now(store.commit(now(overlay.into_batch()).unwrap()));
    assert!(matches!(conflict, Err(CommitError::Conflict { .. })), "{conflict:?}");
}

#[test]
fn what_waits_for_a_position_is_shown_at_the_next_one_and_gets_its_own() {
    const AT: Table<Position, ()> = Table::new(TableId::EXAMPLE, "at");
    let store = now(Store::open(Arc::new(MemoryEngine::new()))).unwrap();
    let mut overlay = Overlay::over(&store.snapshot().unwrap());
    overlay.at_position(|position, writes| writes.put(&AT, &position, &()));
    let next = Position(store.snapshot().unwrap().position().0 + 1);
    assert_eq!(now(overlay.snapshot().get(&AT, &next)).unwrap(), Some(()));
    now(store.commit(Batch::new())).unwrap();
    let committed = now(store.commit(now(overlay.into_batch()).unwrap())).unwrap();
    assert!(committed > next);
    let rows = now(store.snapshot().unwrap().scan_prefix(&AT, &(), Order::Ascending, 9)).unwrap();
    assert_eq!(rows, [(committed, ())]);
}
