//! The router, driven without sockets. Areas add a file each; [`server`] is what they drive.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails, also outside the functions that are marked as tests"
)]

mod account_settings;
mod accounts;
mod encryption;
mod faults;
mod framework;
#[path = "../../../rooms/tests/it/hosted.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of rooms, which use all of it")]
mod hosted;
mod isolation;
mod ledger;
mod media;
#[path = "../../../rooms/tests/it/network.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of rooms, which use all of it")]
mod network;
mod older;
mod partial;
mod rooms;
mod server;
mod spaces;
mod states;
mod upgrades;
