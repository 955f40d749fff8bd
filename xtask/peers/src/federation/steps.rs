//! Names, runs and counts steps; one that fails does not keep the next ones from running.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};

/// What came of the steps so far.
pub(super) struct Steps {
    passed: usize,
    failed: usize,
    start: Instant,
    time: Duration,
}

impl Steps {
    /// Steps that all begin within some time. One that would begin later has failed.
    pub(super) fn within(time: Duration) -> Self {
        Steps { passed: 0, failed: 0, start: Instant::now(), time }
    }

    /// Runs one step and says what came of it.
    pub(super) fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Option<T> {
        let start = Instant::now();
        if self.start.elapsed() > self.time {
            self.failed += 1;
            println!("FAILED  {name}: the {} s for all steps are over", self.time.as_secs());
            return None;
        }
        match step() {
            Ok(value) => {
                self.passed += 1;
                println!("ok      {name} ({} ms)", start.elapsed().as_millis());
                Some(value)
            }
            Err(failure) => {
                self.failed += 1;
                println!("FAILED  {name}: {failure}");
                None
            }
        }
    }

    /// Prints the count; a failure if any step failed.
    pub(super) fn finish(&self) -> Result<()> {
        println!("{} passed, {} failed in {} s", self.passed, self.failed, self.start.elapsed().as_secs());
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::new(format!("{failed} steps failed"))),
        }
    }
}
