//! What lies in the folder of a store: who may open it, how much it grows, and what is said of damage.

#![expect(clippy::unwrap_used, reason = "tests stop at what they do not expect")]

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use freehold_store::conformance::{NAMES, wait};
use freehold_store::{Batch, Engine, EngineSnapshot, Order, ScanRange, UserNumber};
use freehold_store_fjall::{FjallEngine, OpenError, Settings};

const SMALL: Settings = Settings { cache_bytes: 1 << 20, write_buffer_bytes: 128 << 10, reserve_bytes: 0 };

fn open(folder: &Path) -> FjallEngine {
    FjallEngine::open(folder, SMALL).unwrap()
}

fn commit(engine: &FjallEngine, user: u64, bytes: usize) {
    let mut batch = Batch::new();
    batch.put(&NAMES, &UserNumber(user), &"n".repeat(bytes));
    wait(engine.commit(batch)).unwrap();
}

fn rows(snapshot: &dyn EngineSnapshot) -> usize {
    let range = ScanRange { start: Vec::new(), end: None };
    wait(snapshot.scan(NAMES.id, range, Order::Ascending, usize::MAX)).unwrap().len()
}

/// Files below a folder, with their sizes.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => found.extend(files(&entry.path())),
            Ok(metadata) => found.push((entry.path(), metadata.len())),
            // The sorter removed it in between.
            Err(_) => {}
        }
    }
    found
}

fn journals(folder: &Path) -> Vec<PathBuf> {
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "journal");
    let mut found: Vec<PathBuf> =
        files(folder).into_iter().map(|(path, _)| path).filter(is_journal).collect();
    found.sort();
    found
}

/// A copy of what a store has on the disk while it is open: what a killed process would leave.
fn copied(from: &Path, to: &Path) {
    for (path, _) in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}

#[test]
fn a_store_is_opened_once_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    assert!(matches!(FjallEngine::open(folder.path(), SMALL), Err(OpenError::Locked(_))));
    drop(first);
    assert!(FjallEngine::open(folder.path(), SMALL).is_ok());
}

#[test]
fn files_of_another_version_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("format"), "freehold store 999\n").unwrap();
    assert!(matches!(FjallEngine::open(folder.path(), SMALL), Err(OpenError::Format(_))));
}

#[test]
fn a_journal_that_no_crash_can_have_damaged_is_reported_and_left_alone() {
    let (live, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = open(live.path());
    (0..3).for_each(|user| commit(&engine, user, 1000));
    copied(live.path(), copy.path());
    let journal = journals(copy.path()).pop().unwrap();
    let whole = fs::read(&journal).unwrap();
    let mut damaged = whole.clone();
    damaged[1500] ^= 1;
    fs::write(&journal, &damaged).unwrap();
    match FjallEngine::open(copy.path(), SMALL) {
        Err(OpenError::Journal { path, at }) => assert!(path == journal && at > 1000 && at < 1500),
        other => assert!(other.is_err(), "opened in spite of damage"),
    }
    assert_eq!(fs::read(&journal).unwrap(), damaged);
    fs::write(&journal, &whole).unwrap();
    assert_eq!(rows(&*open(copy.path()).snapshot().unwrap()), 3);
}

/// fjall#288: a table that nobody writes kept the journal from being removed, for as long as it had a row in memory.
#[test]
fn fjall_288_the_journal_stays_small_while_one_table_lies_idle() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let mut idle = Batch::new();
    idle.put(&freehold_store::conformance::TEXTS, &"idle".to_owned(), &vec![1]);
    wait(engine.commit(idle)).unwrap();
    let mut most = 0;
    for user in 0..400 {
        commit(&engine, user, 10_000);
        most = most.max(journals(folder.path()).len());
    }
    assert!(most <= 6, "{most} segments at a time, after 30 of them were filled");
}

/// Old versions of a row take no room for ever, and a snapshot that somebody holds keeps what it shows.
#[test]
fn the_room_of_overwritten_rows_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    commit(&engine, 0, 7);
    let held = engine.snapshot().unwrap();
    (0..600).for_each(|round| commit(&engine, round % 5, 10_000));
    assert_eq!(rows(&*held), 1);
    drop(held);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        (0..60).for_each(|round| commit(&engine, round % 5, 10_000));
        let bytes: u64 = files(folder.path()).iter().map(|(_, bytes)| bytes).sum();
        if bytes < 4 << 20 {
            break;
        }
        assert!(Instant::now() < deadline, "{bytes} bytes for five rows of 10 KB");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(rows(&*engine.snapshot().unwrap()), 5);
}

/// Whether any file of a store holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    let found =
        |path: PathBuf| fs::read(path).is_ok_and(|text| text.windows(bytes.len()).any(|part| part == bytes));
    files(folder).into_iter().any(|(path, _)| found(path))
}

/// Bytes that no compression makes shorter or tears apart.
fn secret(seed: u64) -> String {
    let mut state = seed;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from(state >> 59).unwrap() % 26)
    });
    letters.take(24).collect()
}

fn put(engine: &FjallEngine, user: u64, text: &str) {
    let mut batch = Batch::new();
    batch.put(&NAMES, &UserNumber(user), &text.to_owned());
    wait(engine.commit(batch)).unwrap();
}

#[test]
fn what_was_overwritten_is_in_no_file_after_it_was_erased() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    // In files of several ages, and in the journal.
    let secrets: Vec<String> = (0..4).map(|place| secret(place + 1)).collect();
    for (place, text) in (0..).zip(&secrets) {
        put(&engine, place * 1_000, text);
        if place < 3 {
            (0..60).for_each(|user| put(&engine, place * 1_000 + user + 1, &secret(user + 99).repeat(200)));
        }
    }
    for text in &secrets {
        assert!(holds(folder.path(), text.as_bytes()), "{text}");
    }
    put(&engine, 0, "gone");
    put(&engine, 1_000, "gone");
    put(&engine, 2_000, "gone");
    let mut batch = Batch::new();
    batch.delete(&NAMES, &UserNumber(3_000));
    wait(engine.commit(batch)).unwrap();
    let before = rows(&*engine.snapshot().unwrap());
    let held = engine.snapshot().unwrap();
    put(&engine, 9_000, "after the snapshot");
    assert!(!wait(engine.erase_overwritten()).unwrap(), "somebody may still read it");
    drop(held);
    assert!(wait(engine.erase_overwritten()).unwrap());
    for text in &secrets {
        assert!(!holds(folder.path(), text.as_bytes()), "{text}");
    }
    assert_eq!(rows(&*engine.snapshot().unwrap()), before + 1);
    // Again, with nothing to do; and what is there can be read by the next one.
    assert!(wait(engine.erase_overwritten()).unwrap());
    drop(engine);
    let engine = open(folder.path());
    assert_eq!(rows(&*engine.snapshot().unwrap()), before + 1);
    put(&engine, 0, "goes on");
}
