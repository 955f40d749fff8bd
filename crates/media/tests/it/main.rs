//! The service over an engine and bytes in memory, with two tenants.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, also outside the functions that are marked as tests"
)]

mod check;
mod downloads;
mod elsewhere;
mod ownership;
mod quarantine;
mod thumbnails;
mod uploads;
mod world;
