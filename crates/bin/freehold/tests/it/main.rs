//! The program as its users meet it: started, asked, stopped.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests stop at what they do not expect, and use the machine"
)]

mod bucket;
mod commands;
mod deploy;
mod doctor;
mod federation;
mod fsck;
mod media;
mod memory;
mod people;
mod policies;
mod readme;
mod repair;
mod running;
mod server;
mod stopping;
mod tenants;
mod tls;
mod waking;
