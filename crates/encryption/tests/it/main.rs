//! The service over an engine in memory, with two tenants.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails, also outside the functions that are marked as tests"
)]

mod backup;
mod claims;
mod cross_signing;
mod device_keys;
mod device_lists;
mod elsewhere;
mod patience;
mod to_device;
mod waking;
mod world;
