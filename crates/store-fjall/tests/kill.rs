//! Kills a process that writes, at random moments, and looks at what is left:
//! `cargo test -p freehold-store-fjall --test kill -- --kills 200`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that is a program of its own")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use freehold_store::Engine;
use freehold_store::conformance::Place;
use freehold_store::conformance::crash::{WRITERS, nothing_acknowledged_is_lost, write_until_killed};
use freehold_store_fjall::{FjallEngine, Settings};

/// How often the process is killed if nobody says otherwise.
const KILLS: u64 = 10;

/// How long a store may take to open and commit before it counts as stalled.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| arguments.iter().skip_while(|argument| *argument != name).nth(1).cloned();
    if let Some(folder) = after("--writer") {
        write(&Folder { path: folder.into(), small: arguments.iter().any(|argument| argument == "--small") });
    } else if !arguments.iter().any(|argument| argument == "--list") {
        kill_many_times(after("--kills").map_or(KILLS, |kills| kills.parse().unwrap()));
    }
}

/// A folder, opened with the settings of a server or with buffers so small that everything happens all the time.
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

fn write(folder: &Folder) {
    write_until_killed(&*folder.open(), |writer, count| {
        let line = format!("{writer} {count}\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    });
}

fn kill_many_times(kills: u64) {
    let (mut slowest, mut batches) = (Duration::ZERO, 0);
    for small in [false, true] {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder { path: temporary.path().to_owned(), small };
        for kill in 0..kills.div_ceil(2) {
            let delay = delay(kill);
            let acknowledged = killed_after(&folder, delay);
            let (opened, found) = within(PATIENCE, &folder.path, small, acknowledged);
            slowest = slowest.max(opened);
            batches = found;
        }
        println!("small buffers: {small}; last of {batches} batches; slowest opening so far: {slowest:?}");
    }
    println!("killed {kills} times: nothing acknowledged was lost");
}

/// When the process is killed: at once, while it opens, or while it writes.
fn delay(kill: u64) -> Duration {
    let mixed = (kill + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    Duration::from_millis(if kill.is_multiple_of(4) { mixed % 40 } else { 50 + mixed % 600 })
}

/// Starts a writer, kills it after a while, and returns what it said was acknowledged.
fn killed_after(folder: &Folder, delay: Duration) -> [u64; WRITERS as usize] {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--writer").arg(&folder.path).stdout(Stdio::piped());
    if folder.small {
        command.arg("--small");
    }
    let mut writer = command.spawn().unwrap();
    let output = BufReader::new(writer.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        let mut acknowledged = [0; WRITERS as usize];
        for line in output.lines().map_while(Result::ok) {
            // The last line may be cut off by the kill; then it says less than there is, or nothing.
            let Some((writer, count)) = line.split_once(' ') else { continue };
            let (Ok(writer), Ok(count)) = (writer.parse::<usize>(), count.parse::<u64>()) else { continue };
            let known = acknowledged.get_mut(writer).unwrap();
            *known = count.max(*known);
        }
        acknowledged
    });
    thread::sleep(delay);
    assert!(writer.try_wait().unwrap().is_none(), "the writer ended by itself");
    writer.kill().unwrap();
    writer.wait().unwrap();
    reader.join().unwrap()
}

/// Looks at what is left, in a thread, so that a store that stalls is noticed. Returns how long opening took, and the
/// number of batches.
fn within(
    patience: Duration,
    path: &Path,
    small: bool,
    acknowledged: [u64; WRITERS as usize],
) -> (Duration, u64) {
    let (done, result) = mpsc::channel();
    let folder = Folder { path: path.to_owned(), small };
    let looking = thread::spawn(move || {
        let begin = Instant::now();
        drop(folder.open());
        let opened = begin.elapsed();
        done.send((opened, nothing_acknowledged_is_lost(&folder, acknowledged))).unwrap();
    });
    let result = result.recv_timeout(patience);
    if result.is_err() && !looking.is_finished() {
        println!("stalled after a kill");
        std::process::exit(1);
    }
    looking.join().unwrap();
    result.unwrap()
}
