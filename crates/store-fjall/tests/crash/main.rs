//! What is left of a store whose process was killed, whose machine lost power, or whose disk was full.
//!
//! Without arguments a writing process is killed a few times. `cargo xtask crash` does more of it, and with root's rights
//! also what needs a file system of its own:
//!
//! - `--kills 200`: kill -9 at random moments, under load.
//! - `--power-cuts 20`: the store lies on a file system in an image; the image is copied while the writer is stopped,
//!   so that the copy has what reached the disk and nothing that was only in memory.
//! - `--full-disk`: the store lies on a small file system that somebody else fills.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that is a program of its own")]

mod full_disk;
mod kill;
mod power_cut;
mod process;

use std::path::PathBuf;
use std::sync::Arc;

use freehold_store::Engine;
use freehold_store::conformance::Place;
use freehold_store_fjall::{FjallEngine, Settings};

/// How often the process is killed if nobody says otherwise.
const KILLS: u64 = 10;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let after = |name: &str| arguments.iter().skip_while(|argument| *argument != name).nth(1).cloned();
    let number = |name: &str| after(name).map(|number| number.parse::<u64>().unwrap());
    if let Some(folder) = after("--writer") {
        process::write(&Folder { path: folder.into(), small: has("--small") });
    } else if has("--full-disk") {
        full_disk::fill_and_make_room();
    } else if let Some(cuts) = number("--power-cuts") {
        power_cut::cut_many_times(cuts);
    } else if has("--list") {
        // How nextest asks what there is to run.
        if !has("--ignored") {
            println!("a_killed_writer_loses_nothing_it_was_told_is_durable: test");
        }
    } else {
        kill::kill_many_times(number("--kills").unwrap_or(KILLS));
    }
}

/// A folder, opened with the settings of a server or with buffers so small that everything happens all the time.
#[derive(Clone)]
struct Folder {
    path: PathBuf,
    small: bool,
}

impl Place for Folder {
    fn open(&self) -> Arc<dyn Engine> {
        let usual = Settings { reserve_bytes: 0, ..Settings::default() };
        let settings = if self.small { Settings { write_buffer_bytes: 64 << 10, ..usual } } else { usual };
        Arc::new(FjallEngine::open(&self.path, settings).unwrap())
    }
}

/// A number at random, the same for the same `seed` (Fibonacci hashing).
fn mixed(seed: u64) -> u64 {
    (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}
