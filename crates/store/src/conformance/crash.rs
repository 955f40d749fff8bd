//! What must hold after a process was killed while it wrote: one function writes for ever and says what was
//! acknowledged, another looks at what is there afterwards. Starting and killing is done by the engine's tests.

use std::thread;

use super::{Place, commit, wait};
use crate::batch::Batch;
use crate::engine::{Engine, EngineSnapshot};
use crate::key::encoded;
use crate::number::Position;
use crate::table::{Table, TableId};
use crate::value;

/// How many threads write.
pub const WRITERS: u64 = 4;

/// How many batches of each thread are kept; older ones are deleted.
const KEPT: u64 = 40;

/// How many rows each batch has.
const PARTS: u64 = 5;

/// How many batches each writer has written.
const WRITTEN: Table<u64, u64> = Table::new(TableId(250), "written");

/// The rows of each writer's batches.
const PART: Table<(u64, u64, u64), Vec<u8>> = Table::new(TableId(251), "parts");

/// Commits batches from several threads until the process is killed, and says of each writer how many of its batches
/// are acknowledged.
pub fn write_until_killed(engine: &dyn Engine, acknowledged: impl Fn(u64, u64) + Sync) {
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                let mut count = written(&*engine.snapshot().unwrap(), writer);
                loop {
                    commit(engine, next_batch(writer, count)).unwrap();
                    count += 1;
                    acknowledged(writer, count);
                }
            });
        }
    });
}

/// Opens the place of a killed process and looks: everything acknowledged is there, nothing is there in part, and
/// writing goes on. Returns how many batches there are.
pub fn nothing_acknowledged_is_lost(place: &impl Place, acknowledged: [u64; WRITERS as usize]) -> u64 {
    let engine = place.open();
    let snapshot = engine.snapshot().unwrap();
    let counts: Vec<u64> = (0..WRITERS).map(|writer| written(&*snapshot, writer)).collect();
    for (writer, (count, acknowledged)) in (0..).zip(counts.iter().zip(acknowledged)) {
        assert!(*count >= acknowledged, "writer {writer}: {acknowledged} acknowledged, {count} there");
        assert_parts(&*snapshot, writer, *count);
    }
    let total = counts.iter().sum();
    assert_eq!(snapshot.position(), Position(total), "positions and batches differ");
    let position = commit(&*engine, next_batch(0, counts[0])).unwrap();
    assert_eq!(position, Position(total + 1));
    total + 1
}

fn written(snapshot: &dyn EngineSnapshot, writer: u64) -> u64 {
    let row = wait(snapshot.get_many(WRITTEN.id, &[encoded(&writer)])).unwrap().remove(0);
    row.map_or(0, |row| value::decoded(&row).unwrap())
}

fn next_batch(writer: u64, written: u64) -> Batch {
    let (number, mut batch) = (written + 1, Batch::new());
    batch.expect_unchanged(&WRITTEN, &writer, (written > 0).then_some(&written));
    batch.put(&WRITTEN, &writer, &number);
    for part in 0..PARTS {
        batch.put(&PART, &(writer, number, part), &row(writer, number, part));
        if number > KEPT {
            batch.delete(&PART, &(writer, number - KEPT, part));
        }
    }
    batch
}

fn assert_parts(snapshot: &dyn EngineSnapshot, writer: u64, written: u64) {
    let first = (written + 1).saturating_sub(KEPT + 1);
    for number in first..=written + 1 {
        let keys: Vec<_> = (0..PARTS).map(|part| encoded(&(writer, number, part))).collect();
        let rows = wait(snapshot.get_many(PART.id, &keys)).unwrap();
        let there = number > written.saturating_sub(KEPT) && number <= written;
        for (part, found) in (0..).zip(rows) {
            let expected = there.then(|| value::encoded(&row(writer, number, part)));
            assert!(found == expected, "writer {writer}, batch {number} of {written}, part {part}");
        }
    }
}

/// Rows of many sizes, each unlike the others: up to 1.5 KB, and every 64th up to 60 KB.
fn row(writer: u64, number: u64, part: u64) -> Vec<u8> {
    let mixed = (writer << 40 | number << 8 | part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let length = if mixed >> 58 == 0 { mixed >> 40 & 0xffff } else { mixed >> 40 & 0x5ff };
    (0..length).map(|at| (mixed.rotate_left(at as u32) ^ at) as u8).collect()
}
