//! Counters that never give a number twice, also over a restart.

use async_lock::Mutex;

use crate::batch::Batch;
use crate::engine::CommitError;
use crate::store::{ReadError, Store};
use crate::tables::identity::{COUNTERS, Counted};

/// How many numbers are set aside by one commit, for which whoever needs one waits: a busy room uses some ten thousand in a
/// second. What is not used of them when the process ends is never used.
const SET_ASIDE: u64 = 16_384;

/// One counter, starting at 1.
pub(crate) struct Counter {
    store: Store,
    counted: Counted,
    free: Mutex<Free>,
}

/// The numbers set aside for this process: from `next` up to, not including, `end`.
#[derive(Default)]
struct Free {
    next: u64,
    end: u64,
}

impl Counter {
    pub(crate) fn new(store: Store, counted: Counted) -> Self {
        Counter { store, counted, free: Mutex::default() }
    }

    /// A number that was never given before.
    pub(crate) async fn next(&self) -> Result<u64, CounterError> {
        let mut free = self.free.lock().await;
        if free.next == free.end {
            *free = self.set_aside().await?;
        }
        let number = free.next;
        free.next += 1;
        Ok(number)
    }

    /// Makes durable that the next numbers are taken.
    async fn set_aside(&self) -> Result<Free, CounterError> {
        loop {
            let taken = self.store.snapshot()?.get(&COUNTERS, &self.counted).await?;
            let next = taken.unwrap_or(1);
            let end = next.checked_add(SET_ASIDE).ok_or(CounterError::Exhausted)?;
            let mut batch = Batch::new();
            batch.expect_unchanged(&COUNTERS, &self.counted, taken.as_ref());
            batch.put(&COUNTERS, &self.counted, &end);
            match self.store.commit(batch).await {
                Ok(_) => return Ok(Free { next, end }),
                // Another interner on the same store was first, and that is progress.
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Why a counter gives no number.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// It has given all it has.
    #[error("all numbers of this kind are used")]
    Exhausted,
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The numbers could not be set aside.
    #[error("store did not take the change")]
    Commit(#[from] CommitError),
}
