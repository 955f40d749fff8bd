//! Tests of this crate over a network in memory, and over loopback.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails, also outside the functions that are marked as tests"
)]

mod caching;
mod client;
mod discovery;
mod disk;
mod dns;
mod doctor;
mod health;
#[path = "../../../rooms/tests/it/hosted.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of rooms, which use all of it")]
mod hosted;
mod incidents;
mod ingest;
mod keys;
mod late_members;
mod loopback;
mod media;
mod neighbourhood;
#[path = "../../../rooms/tests/it/network.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of rooms, which use all of it")]
mod network;
mod outbound;
mod outbound_away;
mod outbound_random;
mod posting;
mod repair;
mod truth;
mod world;
