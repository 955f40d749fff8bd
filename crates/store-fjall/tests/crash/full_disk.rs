//! A disk that fills up while the store is open, and has room again.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use freehold_store::conformance::{NAMES, wait};
use freehold_store::{Batch, CommitError, Engine, UserNumber};
use freehold_store_fjall::{FjallEngine, Settings};

use crate::power_cut::{run, text};

/// How much room is left for the store when the disk fills up, in bytes.
const LEFT: u64 = 3 << 20;

/// With a reserve, writes are refused before the disk is full. Without, everything has to cope with a disk that is
/// full to the last byte.
pub(crate) fn fill_and_make_room() {
    for reserve_bytes in [8 << 20, 0] {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("disk");
        fs::create_dir(&folder).unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=48m", "none", text(&folder)]);
        let settings = Settings { reserve_bytes, write_buffer_bytes: 1 << 20, ..Settings::default() };
        let outcome = std::panic::catch_unwind(|| fill(&folder, settings));
        run("umount", &[text(&folder)]);
        outcome.unwrap();
    }
    println!(
        "full disk: writes were refused as such, reads went on, and writes were taken again when there was room"
    );
}

fn fill(folder: &Path, settings: Settings) {
    let filler = folder.join("filler");
    let engine = FjallEngine::open(folder.join("store"), settings).unwrap();
    let mut written = 0;
    for round in 0..3 {
        let free = rustix::fs::statvfs(folder).unwrap();
        let filling = free.f_bavail * free.f_frsize - LEFT;
        fs::write(&filler, vec![1; usize::try_from(filling).unwrap()]).unwrap();
        written = write_until_refused(&engine, written);
        let refused = commit(&engine, written + 1);
        assert!(matches!(refused, Err(CommitError::Full)), "round {round}: {refused:?}");
        assert_all(&engine, written);
        fs::remove_file(&filler).unwrap();
        // What could not be sorted into files while the disk was full is tried again now and then.
        let deadline = Instant::now() + Duration::from_secs(10);
        while commit(&engine, written + 1).is_err() {
            assert!(Instant::now() < deadline, "still refused though there is room");
        }
        written += 1;
        assert_all(&engine, written);
    }
    drop(engine);
    assert_all(&FjallEngine::open(folder.join("store"), settings).unwrap(), written);
}

fn write_until_refused(engine: &FjallEngine, mut written: u64) -> u64 {
    while commit(engine, written + 1).is_ok() {
        written += 1;
    }
    written
}

/// One user of 40 KB, one after the other; 200 of them take turns, so that the store itself does not fill the disk.
fn commit(engine: &FjallEngine, number: u64) -> Result<(), CommitError> {
    let mut batch = Batch::new();
    batch.put(&NAMES, &UserNumber(number % 200), &name(number));
    wait(engine.commit(batch)).map(|_| ())
}

fn name(number: u64) -> String {
    format!("{number:08}").repeat(5000)
}

fn assert_all(engine: &FjallEngine, written: u64) {
    let snapshot = engine.snapshot().unwrap();
    assert_eq!(snapshot.position().0, written);
    for number in written.saturating_sub(199).max(1)..=written {
        let mut key = Vec::new();
        freehold_store::Key::encode(&UserNumber(number % 200), &mut key);
        let rows = wait(snapshot.get_many(NAMES.id, &[key])).unwrap();
        let row = rows.into_iter().flatten().next().unwrap();
        assert!(row.ends_with(name(number).as_bytes()), "user {number} of {written}");
    }
}
