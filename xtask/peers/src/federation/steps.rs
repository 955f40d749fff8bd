//! Names, runs and counts steps; one that fails does not keep the next ones from running.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};

/// What came of the steps so far.
pub(super) struct Steps {
    passed: usize,
    failed: usize,
    skipped: usize,
    start: Instant,
    time: Duration,
}

impl Steps {
    /// Steps that all begin within some time. One that would begin later is left out.
    pub(super) fn within(time: Duration) -> Self {
        Steps { passed: 0, failed: 0, skipped: 0, start: Instant::now(), time }
    }

    /// How much of the time is left.
    pub(super) fn left(&self) -> Duration {
        self.time.saturating_sub(self.start.elapsed())
    }

    /// Runs one step and says what came of it.
    pub(super) fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Option<T> {
        let start = Instant::now();
        if self.left().is_zero() {
            self.skipped += 1;
            println!("skipped {name}: the {} s for all steps are over", self.time.as_secs());
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

    /// Prints the count; a failure if any step failed, or was not run.
    pub(super) fn finish(&self) -> Result<()> {
        println!("{} s", self.start.elapsed().as_secs());
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        match (self.failed, self.skipped) {
            (0, 0) => Ok(()),
            (failed, skipped) => Err(Failure::new(format!(
                "{failed} steps failed, and {skipped} were not run for lack of time"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_or_was_not_run_is_a_failure() {
        let mut steps = Steps::within(Duration::from_secs(60));
        steps.run("one", || Ok(()));
        assert!(steps.finish().is_ok());
        steps.run("two", || Err::<(), _>(Failure::new("no")));
        assert!(steps.finish().is_err());
        let mut late = Steps::within(Duration::ZERO);
        assert!(late.run("three", || Ok(())).is_none());
        assert!(late.finish().is_err());
    }
}
