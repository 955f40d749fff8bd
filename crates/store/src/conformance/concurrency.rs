//! Laws of several threads.

use std::collections::BTreeSet;
use std::thread;

use ruma_common::OwnedUserId;

use super::{NAMES, Place, TEXTS, all, commit, named, wait};
use crate::batch::Batch;
use crate::check::check_numbers;
use crate::engine::{CommitError, Engine};
use crate::interner::Interner;
use crate::key::encoded;
use crate::number::{Position, UserNumber};
use crate::store::Store;

/// When a commit is ready, every later snapshot shows it, and at no earlier position.
pub fn what_was_committed_is_seen_at_once(place: &impl Place) {
    let engine = place.open();
    thread::scope(|scope| {
        for user in 0..4_u64 {
            let engine = &engine;
            scope.spawn(move || {
                for round in 0..20_u64 {
                    let key = user * 1000 + round;
                    let position = commit(&**engine, named(key, "new")).unwrap();
                    let snapshot = engine.snapshot().unwrap();
                    assert!(snapshot.position() >= position);
                    let rows = wait(snapshot.get_many(NAMES.id, &[encoded(&UserNumber(key))])).unwrap();
                    assert!(rows[0].is_some());
                }
            });
        }
    });
    let snapshot = engine.snapshot().unwrap();
    assert_eq!((snapshot.position(), all(&*snapshot, NAMES.id).len()), (Position(80), 80));
}

/// Threads that each read, add one and write on condition: the sum is the number of commits, whose positions differ and
/// have no gaps.
pub fn counters_lose_nothing_between_threads(place: &impl Place) {
    let engine = place.open();
    let positions: BTreeSet<Position> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| count(&*engine, 20))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(positions, (1..=80).map(Position).collect());
    assert_eq!(all(&*engine.snapshot().unwrap(), TEXTS.id)[0].1, [1, 80]);
}

fn count(engine: &dyn Engine, times: usize) -> Vec<Position> {
    let mut positions = Vec::new();
    while positions.len() < times {
        let rows = all(&*engine.snapshot().unwrap(), TEXTS.id);
        let counted = rows.first().map(|(_, row)| vec![row[1]]);
        let mut batch = Batch::new();
        batch.expect_unchanged(&TEXTS, &String::new(), counted.as_ref());
        batch.put(&TEXTS, &String::new(), &vec![counted.map_or(1, |counted| counted[0] + 1)]);
        match commit(engine, batch) {
            Ok(position) => positions.push(position),
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    positions
}

/// Threads that number the same users at the same time, and users of their own: every user has one number, and no
/// number two users.
pub fn identifiers_have_one_number_between_threads(place: &impl Place) {
    let store = wait(Store::open(place.open())).unwrap();
    let interner = Interner::new(&store);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (store, interner) = (&store, &interner);
            scope.spawn(move || {
                for round in 0..15 {
                    let ids =
                        [format!("@shared{round}:example.org"), format!("@own{thread}-{round}:example.org")];
                    number(store, interner, &ids.map(|id| id.try_into().unwrap()));
                }
            });
        }
    });
    let reports = wait(check_numbers(&store.snapshot().unwrap())).unwrap();
    assert_eq!(reports.iter().map(|report| report.damaged).sum::<u64>(), 0);
    assert_eq!(reports[0].rows, 15 + 4 * 15);
}

/// Numbers users in one batch, again from a newer snapshot whenever somebody else was first.
fn number(store: &Store, interner: &Interner, ids: &[OwnedUserId]) {
    loop {
        let (snapshot, mut batch) = (store.snapshot().unwrap(), Batch::new());
        let numbers = wait(interner.numbers_of(&snapshot, ids, &mut batch)).unwrap();
        match wait(store.commit(batch)) {
            Ok(_) => {
                assert_eq!(wait(store.snapshot().unwrap().ids_of(&numbers)).unwrap(), ids);
                return;
            }
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
