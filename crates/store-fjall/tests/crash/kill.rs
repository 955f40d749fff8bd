//! Kill -9.

use std::thread;
use std::time::Duration;

use crate::process::{Writer, look};
use crate::{Folder, mixed};

pub(crate) fn kill_many_times(kills: u64) {
    kill_new_stores(kills.div_ceil(2));
    for small in [false, true] {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder { path: temporary.path().to_owned(), small };
        let (mut slowest, mut batches) = (Duration::ZERO, 0);
        for kill in 0..kills.div_ceil(2) {
            let writer = Writer::start(&folder);
            thread::sleep(delay(kill));
            let (opened, found) = look(&folder, writer.kill());
            slowest = slowest.max(opened);
            batches = found;
        }
        let buffers = if small { "small" } else { "usual" };
        println!("{buffers} buffers: {batches} batches in the end; slowest open and close {slowest:?}");
    }
    println!("killed {kills} times: nothing acknowledged was lost, nothing was there in part");
}

/// Stores that are killed while they are made.
fn kill_new_stores(kills: u64) {
    for kill in 0..kills {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder { path: temporary.path().join("store"), small: false };
        let writer = Writer::start(&folder);
        thread::sleep(Duration::from_micros(1000 + mixed(kill) % 60_000));
        look(&folder, writer.kill());
    }
    println!("killed {kills} times while the store was made: it could be made or opened afterwards");
}

/// When the process is killed: at once, while it opens, or while it writes.
fn delay(kill: u64) -> Duration {
    Duration::from_millis(if kill.is_multiple_of(4) { mixed(kill) % 40 } else { 50 + mixed(kill) % 600 })
}
