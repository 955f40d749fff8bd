//! A disk that may be full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use freehold_store::{
    Batch, BoxFuture, CommitError, Engine, EngineError, EngineSnapshot, MemoryEngine, Position,
};

/// A disk that may be full.
pub(crate) struct Disk {
    memory: MemoryEngine,
    is_full: Arc<AtomicBool>,
}

impl Disk {
    /// An empty disk, full as long as that is said.
    pub(crate) fn new(is_full: Arc<AtomicBool>) -> Self {
        Disk { memory: MemoryEngine::new(), is_full }
    }
}

impl Engine for Disk {
    fn snapshot(&self) -> Result<Box<dyn EngineSnapshot>, EngineError> {
        self.memory.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Position, CommitError>> {
        match self.is_full.load(Ordering::Relaxed) {
            true => Box::pin(std::future::ready(Err(CommitError::Full))),
            false => self.memory.commit(batch),
        }
    }
}
