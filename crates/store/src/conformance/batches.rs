//! Laws of batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{NAMES, Place, TEXTS, all, commit, named, wait};
use crate::batch::Batch;
use crate::engine::{CommitError, Engine};
use crate::group::{MAX_KEY_BYTES, MAX_ROW_BYTES};
use crate::key::encoded;
use crate::number::{Position, UserNumber};

/// A batch with a condition that does not hold changes nothing, uses no position and says which condition it was.
pub fn a_batch_whose_condition_fails_has_no_effect(place: &impl Place) {
    let engine = place.open();
    commit(&*engine, named(1, "one")).unwrap();
    let mut batch = named(2, "two");
    batch.expect_present(&NAMES, &UserNumber(1));
    batch.expect_absent(&NAMES, &UserNumber(1));
    match commit(&*engine, batch) {
        Err(CommitError::Conflict { table, key }) => {
            assert_eq!((table, key), (NAMES.id, encoded(&UserNumber(1))));
        }
        other => panic!("committed in spite of its condition: {other:?}"),
    }
    let snapshot = engine.snapshot().unwrap();
    assert_eq!((snapshot.position(), all(&*snapshot, NAMES.id).len()), (Position(1), 1));
    assert_eq!(commit(&*engine, named(2, "two")).unwrap(), Position(2));
}

type Condition = fn(&mut Batch, &str);

/// Every kind of condition, on a key without a row, with the row in question, and with another.
pub fn each_condition_holds_when_it_should(place: &impl Place) {
    let absent: Condition = |batch, _| batch.expect_absent(&NAMES, &UserNumber(1));
    let present: Condition = |batch, _| batch.expect_present(&NAMES, &UserNumber(1));
    let equal: Condition =
        |batch, name| batch.expect_unchanged(&NAMES, &UserNumber(1), Some(&name.to_owned()));
    let none: Condition = |batch, _| batch.expect_unchanged(&NAMES, &UserNumber(1), None);
    let absent_or: Condition = |batch, name| batch.expect_absent_or(&NAMES, &UserNumber(1), &name.to_owned());
    let engine = place.open();
    for (row, expected) in [
        (None, [true, false, false, true, true]),
        (Some("this"), [false, true, true, false, true]),
        (Some("other"), [false, true, false, false, false]),
    ] {
        if let Some(row) = row {
            commit(&*engine, named(1, row)).unwrap();
        }
        let holds = [absent, present, equal, none, absent_or].map(|condition| {
            let mut batch = Batch::new();
            condition(&mut batch, "this");
            commit(&*engine, batch).is_ok()
        });
        assert_eq!(holds, expected, "with the row {row:?}");
    }
}

/// Changes of one key in one batch: the last one counts.
pub fn later_changes_of_a_key_win(place: &impl Place) {
    let engine = place.open();
    let mut batch = named(1, "first");
    batch.delete(&NAMES, &UserNumber(1));
    batch.put(&NAMES, &UserNumber(1), &"second".to_owned());
    batch.put(&NAMES, &UserNumber(2), &"gone".to_owned());
    batch.delete(&NAMES, &UserNumber(2));
    batch.at_position(|_, writes| writes.put(&NAMES, &UserNumber(1), &"third".to_owned()));
    commit(&*engine, batch).unwrap();
    let rows = all(&*engine.snapshot().unwrap(), NAMES.id);
    assert_eq!(rows, [(encoded(&UserNumber(1)), b"\x05third".to_vec())]);
}

/// Positions have no gaps, and a batch can write its own.
pub fn positions_rise_by_one_and_are_known_to_the_batch(place: &impl Place) {
    let engine = place.open();
    for expected in 1..=5 {
        let mut batch = Batch::new();
        batch.at_position(|position, writes| writes.put(&TEXTS, &String::new(), &vec![position.0 as u8]));
        assert_eq!(commit(&*engine, batch).unwrap(), Position(expected));
        let snapshot = engine.snapshot().unwrap();
        assert_eq!(snapshot.position(), Position(expected));
        assert_eq!(all(&*snapshot, TEXTS.id)[0].1, [1, expected as u8]);
    }
}

/// The bounds on keys and rows: over them a typed error and no effect, at them everything works.
pub fn what_is_too_large_is_refused_and_what_is_not_comes_back(place: &impl Place) {
    let text = |bytes: usize| "k".repeat(bytes - encoded(&String::new()).len());
    // A row of TEXTS begins with its length, in up to four bytes at these sizes.
    let row = |bytes: usize| vec![7_u8; bytes - 4];
    let put = |key: &String, row: &Vec<u8>| {
        let mut batch = Batch::new();
        batch.put(&TEXTS, key, row);
        batch
    };
    let engine = place.open();
    for batch in [put(&text(MAX_KEY_BYTES + 1), &Vec::new()), put(&String::new(), &row(MAX_ROW_BYTES + 1))] {
        assert!(
            matches!(commit(&*engine, batch), Err(CommitError::TooLarge { table, .. }) if table == TEXTS.id)
        );
    }
    let (key, large) = (text(MAX_KEY_BYTES), row(MAX_ROW_BYTES));
    assert_eq!(commit(&*engine, put(&key, &large)).unwrap(), Position(1));
    drop(engine);
    let rows = all(&*place.open().snapshot().unwrap(), TEXTS.id);
    assert_eq!((rows.len(), rows[0].0.len(), rows[0].1.len()), (1, MAX_KEY_BYTES, MAX_ROW_BYTES));
}

/// Announcements are made once for a durable batch, also if the future of its commit was dropped, and never for
/// another.
pub fn who_is_to_know_is_told_even_if_nobody_waits(place: &impl Place) {
    let engine = place.open();
    let told = Arc::new(AtomicU64::new(0));
    let batch = |user| {
        let mut batch = named(user, "new");
        let told = told.clone();
        batch.once_durable(move |position| {
            told.fetch_add(position.0, Ordering::SeqCst);
        });
        batch
    };
    let mut refused = batch(1);
    refused.expect_present(&NAMES, &UserNumber(1));
    assert!(commit(&*engine, refused).is_err());
    assert_eq!(told.load(Ordering::SeqCst), 0);
    begin_and_forget(&*engine, batch(1));
    // The next commit is behind the forgotten one.
    commit(&*engine, batch(2)).unwrap();
    assert_eq!(told.load(Ordering::SeqCst), 1 + 2);
}

/// Polls a commit once and drops it.
fn begin_and_forget(engine: &dyn Engine, batch: Batch) {
    let mut commit = engine.commit(batch);
    wait(std::future::poll_fn(|context| {
        let _ = commit.as_mut().poll(context);
        std::task::Poll::Ready(())
    }));
}
