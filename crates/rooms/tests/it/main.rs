//! Rooms over a store in memory, with several tenants.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails may panic"
)]

mod at_once;
mod changes;
mod check;
mod deep;
mod delivered;
mod elsewhere;
mod entering;
mod erased;
mod for_servers;
mod forgetting;
mod garbage;
mod going_out;
#[allow(dead_code, reason = "the program that measures uses it too")]
mod hosted;
mod hostile;
mod inviting;
mod large;
mod many;
mod members;
mod memory;
mod network;
mod outside;
mod partial;
mod policies;
mod recommended;
mod redactions;
mod relations;
mod repair;
mod servers;
mod talking;
mod together;
mod walks;
