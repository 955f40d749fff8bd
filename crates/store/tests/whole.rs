//! What looks at a store as a whole: checks, backups, migrations.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests stop at what they do not expect")]

mod support;

use std::sync::Arc;

use freehold_store::backup::{Backup, BackupError, PREFIX, Restore, Verify};
use freehold_store::check::{Finding, check_numbers, check_rows};
use freehold_store::tables::identity::{USER_IDS, USER_NUMBERS};
use freehold_store::tables::rooms::EVENT_JSON;
use freehold_store::{
    Batch, BoxFuture, Engine, EventNumber, Interner, MemoryEngine, Migration, OpenError, Order, Position,
    Progress, ReadError, Snapshot, Store, Table, TableId, UserNumber, migrate,
};
use ruma_common::OwnedUserId;

use support::now;

fn user(name: &str) -> OwnedUserId {
    format!("@{name}:example.org").try_into().unwrap()
}

/// A store with some users and events.
fn filled() -> Store {
    let store = now(Store::open(Arc::new(MemoryEngine::new()))).unwrap();
    let interner = Interner::new(&store);
    for number in 0..150_u64 {
        let (snapshot, mut batch) = (store.snapshot().unwrap(), Batch::new());
        now(interner.number_of(&snapshot, &user(&format!("u{number}")), &mut batch)).unwrap();
        batch.put(&EVENT_JSON, &EventNumber(number), &"{}".repeat(number as usize));
        now(store.commit(batch)).unwrap();
    }
    store
}

/// The frames of a backup, without their prefixes.
fn frames(store: &Store) -> Vec<Vec<u8>> {
    let mut backup = Backup::new(store.snapshot().unwrap());
    std::iter::from_fn(|| now(backup.frame()).unwrap())
        .map(|frame| {
            let (prefix, rest) = frame.split_first_chunk::<PREFIX>().unwrap();
            assert_eq!(Verify::length(*prefix).unwrap(), rest.len());
            rest.to_vec()
        })
        .collect()
}

fn verify(frames: &[Vec<u8>]) -> Result<u64, BackupError> {
    let mut verify = Verify::default();
    frames.iter().try_for_each(|frame| verify.frame(frame))?;
    Ok(verify.end()?.rows)
}

#[test]
fn what_is_restored_is_what_was_backed_up_and_goes_on_at_its_position() {
    let store = filled();
    let frames = frames(&store);
    let before = store.snapshot().unwrap();
    let engine = Arc::new(MemoryEngine::new());
    let mut restore = Restore::new(&*engine).unwrap();
    frames.iter().for_each(|frame| now(restore.frame(frame)).unwrap());
    let contents = now(restore.end()).unwrap();
    assert_eq!((contents.position, contents.rows), (before.position(), verify(&frames).unwrap()));
    let restored = now(Store::open(engine)).unwrap();
    let after = restored.snapshot().unwrap();
    let all =
        |snapshot: &Snapshot| now(snapshot.scan_prefix(&EVENT_JSON, &(), Order::Ascending, 999)).unwrap();
    assert_eq!((after.position(), all(&after)), (before.position(), all(&before)));
    assert_eq!(now(check_rows(&after)).unwrap(), now(check_rows(&before)).unwrap());
    let next = now(restored.commit(Batch::new())).unwrap();
    assert_eq!(next, Position(before.position().0 + 1));
}

/// Restoring one-time keys gives keys away a second time that were claimed after the backup.
#[test]
fn one_time_keys_are_not_restored_and_fallback_keys_are() {
    use freehold_store::DeviceNumber;
    use freehold_store::tables::encryption::{
        CLAIMED_KEYS, FALLBACK_KEYS, FallbackKeyRow, ONE_TIME_KEY_COUNTS, ONE_TIME_KEY_IDS, ONE_TIME_KEYS,
        OneTimeKeyCountsRow, OneTimeKeyIdRow,
    };
    let (store, device, algorithm) = (filled(), DeviceNumber(1), "signed_curve25519".to_owned());
    let mut batch = Batch::new();
    let at = (device, algorithm.clone(), Position(9), "AAAA".to_owned());
    batch.put(&ONE_TIME_KEYS, &at, &"{}".to_owned());
    batch.put(&CLAIMED_KEYS, &at, &());
    batch.put(
        &ONE_TIME_KEY_IDS,
        &(device, algorithm.clone(), "AAAA".to_owned()),
        &OneTimeKeyIdRow { digest: [7; 16], unclaimed: Some(Position(9)) },
    );
    batch.put(&ONE_TIME_KEY_COUNTS, &device, &OneTimeKeyCountsRow::default());
    let fallback = FallbackKeyRow { key_id: "AAAB".to_owned(), key: "{}".to_owned(), used: false };
    batch.put(&FALLBACK_KEYS, &(device, algorithm.clone()), &fallback);
    now(store.commit(batch)).unwrap();
    let frames = frames(&store);
    let engine = Arc::new(MemoryEngine::new());
    let mut restore = Restore::new(&*engine).unwrap();
    frames.iter().for_each(|frame| now(restore.frame(frame)).unwrap());
    let contents = now(restore.end()).unwrap();
    assert_eq!(contents.rows, verify(&frames).unwrap(), "it is what the backup holds that is counted");
    let restored = now(Store::open(engine)).unwrap().snapshot().unwrap();
    let rows = |name: &str| {
        let reports = now(check_rows(&restored)).unwrap();
        reports.into_iter().find(|report| report.name == name).map_or(0, |report| report.rows)
    };
    for table in ["one_time_keys", "one_time_key_ids", "claimed_keys", "one_time_key_counts"] {
        assert_eq!(rows(table), 0, "{table}");
    }
    assert_eq!(now(restored.get(&FALLBACK_KEYS, &(device, algorithm))).unwrap(), Some(fallback));
    assert_eq!(rows("event_json"), 150);
}

#[test]
fn nothing_can_be_damaged_missing_or_out_of_order_in_a_backup() {
    let whole = frames(&filled());
    assert!(whole.len() > 5 && verify(&whole).is_ok());
    for at in 0..whole.len() {
        let mut missing = whole.clone();
        missing.remove(at);
        assert!(verify(&missing).is_err(), "without frame {at}");
        let mut swapped = whole.clone();
        swapped.swap(at, (at + 1) % whole.len());
        assert!(verify(&swapped).is_err(), "frame {at} too late");
        for byte in (0..whole[at].len()).step_by(499) {
            let mut damaged = whole.clone();
            damaged[at][byte] ^= 1;
            assert!(verify(&damaged).is_err(), "byte {byte} of frame {at}");
        }
    }
    assert!(matches!(Verify::length([255; PREFIX]), Err(BackupError::Damaged)));
}

#[test]
fn a_store_does_not_open_on_the_beginning_of_a_backup() {
    let frames = frames(&filled());
    let engine = Arc::new(MemoryEngine::new());
    let mut restore = Restore::new(&*engine).unwrap();
    frames[..frames.len() - 1].iter().for_each(|frame| now(restore.frame(frame)).unwrap());
    assert!(matches!(now(restore.end()), Err(BackupError::Incomplete)));
    assert!(matches!(now(Store::open(engine.clone())), Err(OpenError::Unfinished)));
    assert!(matches!(Restore::new(&*engine), Err(BackupError::NotEmpty)));
}

#[test]
fn damaged_rows_and_unknown_tables_are_found() {
    const SHORT: Table<u8, u8> = Table::new(EVENT_JSON.id, "short");
    const UNKNOWN: Table<u8, u8> = Table::new(TableId(248), "unknown");
    let store = filled();
    assert!(now(check_rows(&store.snapshot().unwrap())).unwrap().iter().all(|report| report.damaged == 0));
    let mut batch = Batch::new();
    batch.put(&SHORT, &7, &7);
    batch.put(&UNKNOWN, &7, &7);
    now(store.commit(batch)).unwrap();
    let reports = now(check_rows(&store.snapshot().unwrap())).unwrap();
    let damaged: Vec<_> = reports.into_iter().filter(|report| report.damaged > 0).collect();
    assert_eq!(damaged.len(), 2);
    assert!(matches!(&damaged[0].findings[..], [(key, Finding::Damage(_))] if *key == [7]));
    assert!(matches!(&damaged[1].findings[..], [(key, Finding::UnknownTable)] if *key == [7]));
}

#[test]
fn identifiers_and_numbers_that_do_not_belong_to_each_other_are_found() {
    let damaged = |store: &Store| {
        let reports = now(check_numbers(&store.snapshot().unwrap())).unwrap();
        reports.iter().map(|report| report.damaged).sum::<u64>()
    };
    let store = filled();
    assert_eq!(damaged(&store), 0);
    let mut batch = Batch::new();
    batch.put(&USER_IDS, &UserNumber(900), &user("u7"));
    now(store.commit(batch)).unwrap();
    assert_eq!(damaged(&store), 2, "a second number of one user: that number, and the count");
    let mut batch = Batch::new();
    batch.delete(&USER_IDS, &UserNumber(900));
    batch.put(&USER_NUMBERS, &user("nobody"), &UserNumber(7));
    now(store.commit(batch)).unwrap();
    assert_eq!(damaged(&store), 1, "an identifier with the number of another");
}

/// Doubles the texts of ten events at a time.
fn double<'a>(
    snapshot: &'a Snapshot,
    from: &'a [u8],
    batch: &'a mut Batch,
) -> BoxFuture<'a, Result<Progress, ReadError>> {
    Box::pin(async move {
        let first = EventNumber(from.first().copied().map_or(0, u64::from));
        let end = EventNumber(first.0 + 10);
        let rows = snapshot.scan_range(&EVENT_JSON, (&first, &end), Order::Ascending, 10).await?;
        for (event, text) in &rows {
            batch.put(&EVENT_JSON, event, &text.repeat(2));
        }
        Ok(if rows.is_empty() { Progress::Done } else { Progress::Until(vec![end.0 as u8]) })
    })
}

#[test]
fn a_migration_goes_on_where_it_stopped_and_does_nothing_twice() {
    let engine = MemoryEngine::new();
    let mut batch = Batch::new();
    batch.put(&freehold_store::tables::SCHEMA, &(), &1);
    (0..95).for_each(|event| batch.put(&EVENT_JSON, &EventNumber(event), &"x".to_owned()));
    now(engine.commit(batch)).unwrap();
    // The third step of the first try fails.
    let failing: Migration = Migration {
        to: 2,
        step: |snapshot, from, batch| {
            if from == [20] {
                Box::pin(async { Err(ReadError::Dangling { table: "test" }) })
            } else {
                double(snapshot, from, batch)
            }
        },
    };
    assert!(now(migrate(&engine, &[failing])).is_err());
    let migration = [Migration { to: 2, step: double }];
    now(migrate(&engine, &migration)).unwrap();
    let position = engine.snapshot().unwrap().position();
    now(migrate(&engine, &migration)).unwrap();
    assert_eq!(engine.snapshot().unwrap().position(), position);
    let keys: Vec<Vec<u8>> = (0..95_u64).map(|event| event.to_be_bytes().to_vec()).collect();
    let rows = now(engine.snapshot().unwrap().get_many(EVENT_JSON.id, &keys)).unwrap();
    assert!(rows.iter().all(|row| row.as_deref() == Some(b"\x02xx")));
    let gap = [Migration { to: 4, step: double }];
    assert!(now(migrate(&engine, &gap)).is_err());
}
