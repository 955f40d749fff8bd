//! Rows of many numbers are those that they have one by one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

mod support;

use std::sync::Arc;

use freehold_store::{Batch, MemoryEngine, Store, Table, TableId, UserNumber};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use support::now;

const NAMES: Table<UserNumber, String> = Table::new(TableId::EXAMPLE, "names");

/// Numbers, many of which lie together, and the last ones that there are.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..60_u64, 2 => 1_000..1_010_u64, 1 => u64::MAX - 8..u64::MAX]
}

proptest! {
    #[test]
    fn rows_read_together_are_those_read_one_by_one(
        kept in btree_set(number(), 0..60),
        asked in vec(number(), 0..60).prop_flat_map(|numbers| Just(numbers).prop_shuffle()),
        once in any::<bool>(),
    ) {
        let store = now(Store::open(Arc::new(MemoryEngine::new()))).unwrap();
        let mut batch = Batch::new();
        kept.iter().for_each(|number| batch.put(&NAMES, &UserNumber(*number), &number.to_string()));
        batch.wake(UserNumber(0));
        now(store.commit(batch)).unwrap();
        let mut asked: Vec<UserNumber> = asked.into_iter().map(UserNumber).collect();
        if once {
            let mut seen = std::collections::BTreeSet::new();
            asked.retain(|number| seen.insert(*number));
        }
        let rows = now(store.snapshot().unwrap().rows_of(&NAMES, &asked)).unwrap();
        let expected: Vec<Option<String>> =
            asked.iter().map(|number| kept.contains(&number.0).then(|| number.to_string())).collect();
        prop_assert_eq!(rows, expected);
    }
}
