//! The engine passes the suite of all engines.

#![expect(clippy::unwrap_used, reason = "tests stop at what they do not expect")]

use std::sync::Arc;

use freehold_store::Engine;
use freehold_store::conformance::Place;
use freehold_store_fjall::{FjallEngine, Settings};
use tempfile::TempDir;

struct Folder(TempDir, Settings);

impl Place for Folder {
    fn open(&self) -> Arc<dyn Engine> {
        Arc::new(FjallEngine::open(self.0.path(), self.1).unwrap())
    }
}

mod usual {
    use super::*;

    fn place() -> Folder {
        let settings = Settings { reserve_bytes: 0, ..Settings::default() };
        Folder(tempfile::tempdir().unwrap(), settings)
    }

    freehold_store::conformance_suite!(place);
}

/// With so little memory that rows are sorted into files and files are merged all the time.
mod tiny {
    use super::*;

    fn place() -> Folder {
        let settings = Settings { cache_bytes: 64 << 10, write_buffer_bytes: 4 << 10, reserve_bytes: 0 };
        Folder(tempfile::tempdir().unwrap(), settings)
    }

    freehold_store::conformance_suite!(place);
}
