//! Every command of the binary, on rooms that the test kit makes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking, in its helper functions too"
)]

mod bad_input;
mod drawing;
mod lab;
mod rooms;
