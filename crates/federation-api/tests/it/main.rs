//! The router, driven without sockets. Areas add a file each; [`server`] is what they drive.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails, also outside the functions that are marked as tests"
)]

mod authentication;
mod foreign;
mod framework;
mod further_tenants;
mod isolation;
mod ledger;
mod public;
mod server;
mod spaces;
mod told;
mod transactions;
