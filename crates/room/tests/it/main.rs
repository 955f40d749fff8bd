//! The room machine against the naive twin, and case by case.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails may panic"
)]

mod kept;
mod redactions;
mod replay;
mod rooms;
