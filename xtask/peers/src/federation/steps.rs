//! Names, runs and counts steps; one that fails does not keep the next ones from running.

use std::time::Instant;

use crate::failure::{Failure, Result};

/// What came of the steps so far.
#[derive(Default)]
pub(super) struct Steps {
    passed: usize,
    failed: usize,
}

impl Steps {
    /// Runs one step and says what came of it.
    pub(super) fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Option<T> {
        let start = Instant::now();
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
        println!("{} passed, {} failed", self.passed, self.failed);
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::new(format!("{failed} steps failed"))),
        }
    }
}
