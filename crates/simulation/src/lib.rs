//! A whole federation in one thread from one seed.
//!
//! Some processes, each the real parts of the homeserver over a disk and a network of the simulation, and people who use
//! them; links are cut and healed, answers get lost, requests come twice, processes die with what they had not flushed and
//! start again with what they had. One of them may be an operator's who lies, unasked and in answers, as a resident of rooms and as a
//! notary. In the end everything is healed, and after a
//! bounded time the laws must hold ([`Violation`]):
//!
//! - **agreement**: all honest processes in a room have the same newest events, the same current state, and judged
//!   every event alike;
//! - **completeness**: they hold every event since they came in;
//! - **durability**: what was acknowledged is held by all of them;
//! - **delivery**: messages to devices come once, and none that nobody sent;
//! - **tracking**: who shares a room with somebody has, or is told to fetch, the devices that somebody has;
//! - **hearing**: everybody in a room knows up to where the others read;
//! - **secrecy**: nobody is told anything of a room with which they have nothing to do;
//! - **frugality**: what an operator who lies costs the others (requests, bytes written, rows read) is bounded by what he sends;
//! - **address**: nothing is answered that was signed for somebody else, or by somebody else;
//! - **no panic**.
//!
//! The same seed gives the same run, to the last byte that is sent: time is the paused time of the runtime, and every random
//! number comes from the seed. [`run`] is where to start.
//!
//! Development only: nothing that is shipped depends on it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a simulation that cannot go on stops, and its seed says how it came to that"
)]

mod adversary;
mod between;
mod crowd;
mod deed;
mod delivery;
mod devices;
mod disk;
mod entropy;
mod hearing;
mod hosted;
mod laws;
mod ledger;
mod life;
mod observe;
mod plan;
mod process;
mod run;
mod trace;
mod tracking;
mod wires;
mod world;

pub use laws::Violation;
pub use run::{Disks, Outcome, run, run_as};
