//! Ours against the peers, in one run: what the tables measure. The programs are in `src/bin`.

#![expect(clippy::print_stdout, reason = "tables are for the terminal")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark whose input is wrong must stop"
)]

mod auth;
mod canonical;
pub mod federation;
mod inbound;
mod keyring;
mod measure;
mod pdus;
mod resolve;
pub mod rows;
mod ruma_event;
mod state_map;
mod table;

pub use keyring::heap_of_idle_tenants;
pub use measure::Effort;
pub use resolve::{heap_of_our_resolution, heap_of_peer_resolution};
pub use table::{Bench, Table};

/// A group of rows: its name, and what measures it.
pub type Group = (&'static str, fn(&mut Table));

/// The table of the protocol libraries.
pub const PROTOCOL: &[Group] = &[
    ("canonical JSON", canonical::rows),
    ("inbound check", inbound::rows),
    ("authorisation", auth::rows),
    ("state resolution", resolve::rows),
    ("state map", state_map::rows),
    ("keyring", keyring::rows),
];
