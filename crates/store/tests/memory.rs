//! The engine in memory passes the suite of all engines.

use std::sync::Arc;

use freehold_store::conformance::Place;
use freehold_store::{Engine, MemoryEngine};

/// Memory has nothing to open again: what is dropped here is a handle.
struct Memory(Arc<MemoryEngine>);

impl Place for Memory {
    fn open(&self) -> Arc<dyn Engine> {
        self.0.clone()
    }
}

fn place() -> Memory {
    Memory(Arc::new(MemoryEngine::new()))
}

freehold_store::conformance_suite!(place);
