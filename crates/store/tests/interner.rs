//! Numbers are given once, whatever happens in between.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests stop at what they do not expect")]

mod support;

use std::sync::Arc;

use freehold_store::{Batch, CommitError, Interner, MemoryEngine, ReadError, Store, UserNumber};
use ruma_common::{OwnedEventId, OwnedUserId};

use support::now;

fn store(engine: &Arc<MemoryEngine>) -> Store {
    now(Store::open(engine.clone())).unwrap()
}

fn user(id: &str) -> OwnedUserId {
    id.try_into().unwrap()
}

#[test]
fn batches_under_way_at_the_same_time_agree() {
    let store = store(&Arc::default());
    let interner = Interner::new(&store);
    let before = store.snapshot().unwrap();
    let (mut one, mut two) = (Batch::new(), Batch::new());
    let id = user("@a:example.org");
    let first = now(interner.number_of(&before, &id, &mut one)).unwrap();
    let second = now(interner.number_of(&before, &id, &mut two)).unwrap();
    assert_eq!(first, second);
    now(store.commit(two)).unwrap();
    now(store.commit(one)).unwrap();
    let after = store.snapshot().unwrap();
    assert_eq!(now(after.number_of(&id)).unwrap(), Some(first));
    assert_eq!(now(after.id_of(first)).unwrap(), id);
}

#[test]
fn a_number_without_a_durable_batch_is_unknown() {
    let store = store(&Arc::default());
    let interner = Interner::new(&store);
    let id = user("@a:example.org");
    let number = now(interner.number_of(&store.snapshot().unwrap(), &id, &mut Batch::new())).unwrap();
    let snapshot = store.snapshot().unwrap();
    assert_eq!(now(snapshot.number_of(&id)).unwrap(), None);
    assert!(matches!(now(snapshot.id_of(number)), Err(ReadError::Dangling { table: "user_ids" })));
}

#[test]
fn two_interners_never_give_one_identifier_two_numbers() {
    let store = store(&Arc::default());
    let before = store.snapshot().unwrap();
    let id = user("@a:example.org");
    let (mut one, mut two) = (Batch::new(), Batch::new());
    let first = now(Interner::new(&store).number_of(&before, &id, &mut one)).unwrap();
    let second = now(Interner::new(&store).number_of(&before, &id, &mut two)).unwrap();
    assert_ne!(first, second);
    now(store.commit(one)).unwrap();
    assert!(matches!(now(store.commit(two)), Err(CommitError::Conflict { .. })));
    assert_eq!(now(store.snapshot().unwrap().number_of(&id)).unwrap(), Some(first));
}

#[test]
fn numbers_are_not_given_again_after_a_restart() {
    let engine = Arc::new(MemoryEngine::new());
    let mut given = Vec::new();
    for _ in 0..3 {
        let interner = Interner::new(&store(&engine));
        given.extend((0..1500).map(|_| now(interner.new_device()).unwrap()));
    }
    assert!(given.is_sorted());
    given.dedup();
    assert_eq!(given.len(), 4500);
}

#[test]
fn several_are_numbered_in_their_order_and_repetitions_are_one() {
    let store = store(&Arc::default());
    let interner = Interner::new(&store);
    let ids: Vec<OwnedEventId> =
        ["$a", "$b", "$a", "$c"].map(|id| id.try_into().unwrap()).into_iter().collect();
    let mut batch = Batch::new();
    let numbers = now(interner.numbers_of(&store.snapshot().unwrap(), &ids, &mut batch)).unwrap();
    assert_eq!(numbers[0], numbers[2]);
    assert!(numbers[0] != numbers[1] && numbers[1] != numbers[3]);
    now(store.commit(batch)).unwrap();
    assert_eq!(now(store.snapshot().unwrap().ids_of(&numbers)).unwrap(), ids);
}

#[test]
fn kinds_are_numbered_apart_and_begin_at_one() {
    let store = store(&Arc::default());
    let interner = Interner::new(&store);
    let snapshot = store.snapshot().unwrap();
    let mut batch = Batch::new();
    let number = now(interner.number_of(&snapshot, &user("@a:example.org"), &mut batch)).unwrap();
    let state_key = ("m.room.name".to_owned(), String::new());
    let key = now(interner.number_of(&snapshot, &state_key, &mut batch)).unwrap();
    let tenant = now(interner.new_tenant()).unwrap();
    assert_eq!((number, key.0, tenant.0), (UserNumber(1), 1, 1));
}
