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
mod isolation;
mod ledger;
mod media;
mod older;
mod rooms;
mod server;
mod spaces;
