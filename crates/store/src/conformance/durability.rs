//! Laws of closing and opening again. What a crash does is tested with real processes, by each engine.

use super::{NAMES, Place, all, commit, named};
use crate::batch::Batch;
use crate::number::{Position, UserNumber};

/// Rows, removals and the position survive.
pub fn what_was_committed_is_there_after_reopening(place: &impl Place) {
    let engine = place.open();
    for user in 1..=100 {
        commit(&*engine, named(user, "new")).unwrap();
    }
    let mut batch = Batch::new();
    batch.delete(&NAMES, &UserNumber(50));
    commit(&*engine, batch).unwrap();
    let before = all(&*engine.snapshot().unwrap(), NAMES.id);
    drop(engine);
    let snapshot = place.open().snapshot().unwrap();
    assert_eq!((snapshot.position(), before.len()), (Position(101), 99));
    assert_eq!(all(&*snapshot, NAMES.id), before);
}

/// Opening and closing without and with a few writes, again and again, with a snapshot that outlives its engine.
pub fn an_engine_can_be_reopened_many_times(place: &impl Place) {
    for time in 1..=20 {
        let engine = place.open();
        let snapshot = engine.snapshot().unwrap();
        assert_eq!(snapshot.position(), Position(time - 1));
        commit(&*engine, named(time, "new")).unwrap();
        drop(engine);
        assert_eq!(all(&*snapshot, NAMES.id).len() as u64, time - 1);
    }
}
