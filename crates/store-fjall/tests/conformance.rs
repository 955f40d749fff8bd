//! The engine passes the suite of all engines.

#![expect(clippy::unwrap_used, reason = "tests stop at what they do not expect")]

use std::sync::Arc;

use freehold_store::Engine;
use freehold_store::conformance::Place;
use freehold_store_fjall::{FjallEngine, Settings};
use tempfile::TempDir;

struct Folder(TempDir);

impl Place for Folder {
    fn open(&self) -> Arc<dyn Engine> {
        let settings = Settings { reserve_bytes: 0, ..Settings::default() };
        Arc::new(FjallEngine::open(self.0.path(), settings).unwrap())
    }
}

fn place() -> Folder {
    Folder(tempfile::tempdir().unwrap())
}

freehold_store::conformance_suite!(place);
