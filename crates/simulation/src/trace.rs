//! What happened, in order: a line for everything, and one hash over all lines.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// What shows a line.
pub(crate) type Show = fn(&str);

/// What happened in one run. Clones are the same.
#[derive(Clone)]
pub(crate) struct Trace(Arc<Mutex<Written>>);

struct Written {
    start: Instant,
    hash: Sha256,
    count: u64,
    show: Option<Show>,
}

impl Trace {
    /// An empty trace; its lines are shown as they come, if somebody is to read them.
    pub(crate) fn new(show: Option<Show>) -> Self {
        Trace(Arc::new(Mutex::new(Written { start: Instant::now(), hash: Sha256::new(), count: 0, show })))
    }

    /// Writes a line, with the time that has passed in the simulation.
    pub(crate) fn note(&self, what: impl AsRef<str>) {
        let mut written = self.lock();
        let time = written.start.elapsed();
        let line = format!("{:>9.3} {}", time.as_secs_f64(), what.as_ref());
        written.hash.update(line.as_bytes());
        written.hash.update(b"\n");
        written.count += 1;
        if let Some(show) = written.show {
            show(&line);
        }
    }

    /// How many lines there are, and their hash in hexadecimal.
    pub(crate) fn hash(&self) -> (u64, String) {
        let written = self.lock();
        let mut text = String::new();
        for byte in written.hash.clone().finalize() {
            // A string takes everything.
            let _ = write!(text, "{byte:02x}");
        }
        (written.count, text)
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A short number for bytes, the same for the same bytes: FNV-1a.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
