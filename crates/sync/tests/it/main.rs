//! Syncs over a store in memory, with people of two tenants.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails may panic"
)]

mod filters;
#[path = "../../../rooms/tests/it/hosted.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of rooms, which use all of it")]
mod hosted;
mod ignored;
mod left;
#[path = "../../../rooms/tests/it/network.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of rooms, which use all of it")]
mod network;
mod partial;
mod person;
mod presence;
mod receipts;
mod state;
mod timelines;
mod waiting;
