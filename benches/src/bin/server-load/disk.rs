//! The disk alone: what every acknowledged message costs at least.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::http::Outcome;
use crate::pace::Paced;

/// How often it is tried, and how long it rests in between.
const TRIES: usize = 200;
const REST: Duration = Duration::from_millis(5);
/// What a message writes, roughly.
const BYTES: usize = 3_000;

/// How long it takes to append to a file and to sync it.
pub(crate) fn write_and_sync(folder: &Path) -> Outcome<Paced> {
    let path = folder.join("disk-alone");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::create(&path).map_err(failed)?;
    let (started, bytes) = (Instant::now(), vec![b'x'; BYTES]);
    let mut times = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        let begun = Instant::now();
        file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(failed)?;
        times.push(begun.elapsed().as_secs_f64());
        std::thread::sleep(REST);
    }
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(Paced::new(times, started.elapsed().as_secs_f64()))
}
