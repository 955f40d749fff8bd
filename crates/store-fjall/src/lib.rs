//! The embedded engine of Freehold's store: [`freehold_store::Engine`] over `lsm-tree`, the log-structured tree of
//! fjall, with a journal of its own.
//!
//! The tree sorts rows into files and merges files. The journal makes batches durable before that: one
//! thread commits, many batches with one sync. Why the journal is ours and not fjall's is told, with
//! measurements, in `docs/storage.md`.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use freehold_store::Store;
//! use freehold_store_fjall::{FjallEngine, Settings};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = FjallEngine::open("freehold-data/store", Settings::default())?;
//! let store = Store::open(Arc::new(engine)).await?;
//! # Ok(())
//! # }
//! ```

mod committer;
mod engine;
mod journal;
mod settings;
mod snapshot;
mod sorter;
mod tree;
mod writer;

pub use engine::{FjallEngine, OpenError};
pub use settings::{Memory, Settings};
