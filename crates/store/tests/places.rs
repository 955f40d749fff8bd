//! Each tenant has as many places as it may have, whoever else takes some.

#![expect(clippy::panic, reason = "tests stop at what they do not expect")]

mod support;

use std::sync::Arc;

use freehold_store::tables::accounts::TENANT_ACCOUNTS;
use freehold_store::{Batch, MemoryEngine, Places, Store, TenantNumber, UserNumber};

use support::now;

#[test]
fn one_tenant_that_is_full_leaves_the_places_of_the_others() {
    let store = now(Store::open(Arc::new(MemoryEngine::new()))).unwrap();
    let (one, other) = (TenantNumber(1), TenantNumber(2));
    let mut batch = Batch::new();
    batch.put(&TENANT_ACCOUNTS, &(one, UserNumber(7)), &());
    now(store.commit(batch)).unwrap();
    let snapshot = store.snapshot().unwrap();
    let places = Places::new(&TENANT_ACCOUNTS);
    let take = |tenant| now(places.take(&snapshot, tenant, Some(2))).unwrap();
    take(one).unwrap().keep();
    assert!(take(one).is_none(), "one row was there, and one place was taken");
    let first = take(other).unwrap();
    take(other).unwrap().keep();
    assert!(take(other).is_none());
    drop(first);
    assert!(take(other).is_some(), "a place that is not kept is free again");
    assert!(take(one).is_none());
}
