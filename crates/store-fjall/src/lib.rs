//! The embedded engine of Freehold's store: [`freehold_store::Engine`] over fjall, a log-structured engine in pure
//! Rust.
//!
//! What it adds to fjall: one thread that commits many batches with one sync; positions; snapshots that cost a
//! counter; writes that are refused before the disk is full, and taken again when there is room; and a journal whose last,
//! never acknowledged write was torn by a power cut does not keep the store from opening.
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
mod opened;
mod settings;
mod snapshot;

pub use engine::{FjallEngine, OpenError};
pub use settings::Settings;
