//! A process that writes until it is killed, and those who watch it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use freehold_store::conformance::Place;
use freehold_store::conformance::crash::{WRITERS, nothing_acknowledged_is_lost, write_until_killed};

use crate::Folder;

/// How many batches of each writer are acknowledged.
pub(crate) type Acknowledged = [u64; WRITERS as usize];

/// How long a store may take to open and commit before it counts as stalled.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes until killed; prints each acknowledgement.
pub(crate) fn write(folder: &Folder) {
    write_until_killed(&*folder.open(), |writer, count| {
        let line = format!("{writer} {count}\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    });
}

/// A process that writes, and what it said was acknowledged.
pub(crate) struct Writer {
    pub(crate) process: Child,
    reader: Option<thread::JoinHandle<()>>,
    acknowledged: Arc<Mutex<Acknowledged>>,
}

impl Writer {
    pub(crate) fn start(folder: &Folder) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("--writer").arg(&folder.path).stdout(Stdio::piped());
        if folder.small {
            command.arg("--small");
        }
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let acknowledged = Arc::new(Mutex::new([0; WRITERS as usize]));
        let heard = acknowledged.clone();
        let reader = thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| hear(&line, &mut heard.lock().unwrap()));
        });
        Writer { process, reader: Some(reader), acknowledged }
    }

    pub(crate) fn acknowledged(&self) -> Acknowledged {
        *self.acknowledged.lock().unwrap()
    }

    /// Kills the process; returns all that was acknowledged.
    pub(crate) fn kill(mut self) -> Acknowledged {
        assert!(self.process.try_wait().unwrap().is_none(), "the writer ended by itself");
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        self.acknowledged()
    }
}

/// The last line may be cut off by the kill; then it says less than there is, or nothing.
fn hear(line: &str, acknowledged: &mut Acknowledged) {
    let Some((writer, count)) = line.split_once(' ') else { return };
    let (Ok(writer), Ok(count)) = (writer.parse::<usize>(), count.parse::<u64>()) else { return };
    let known = acknowledged.get_mut(writer).unwrap();
    *known = count.max(*known);
}

/// Looks at what is left, in a thread, so that a store that stalls is noticed. Returns how long opening took, and the
/// number of batches.
pub(crate) fn look(folder: &Folder, acknowledged: Acknowledged) -> (Duration, u64) {
    let (done, result) = mpsc::channel();
    let place = folder.clone();
    let looking = thread::spawn(move || {
        let begin = Instant::now();
        drop(place.open());
        let opened = begin.elapsed();
        done.send((opened, nothing_acknowledged_is_lost(&place, acknowledged))).unwrap();
    });
    let result = result.recv_timeout(PATIENCE);
    if result.is_err() && !looking.is_finished() {
        println!("stalled after a crash");
        std::process::exit(1);
    }
    looking.join().unwrap();
    result.unwrap()
}
