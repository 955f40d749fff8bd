//! Builders, adversarial generators and the naive twin that the tests of the workspace share.
//!
//! Development only: nothing that is shipped depends on it. It gives
//!
//! - [`RoomBuilder`]: rooms of every version built event by event, plain or really hashed and
//!   signed, with the state after each event;
//! - [`generate()`]: rooms made at random from a seed, on purpose unpleasant (forks, power struggles,
//!   ban and join races, late, missing and rejected events), consistent at every event;
//! - [`bench_room()`]: large rooms with two forks, for measurements;
//! - [`LargeRoom`]: rooms with members of many servers, hashed and signed, for others to join;
//! - [`twin`]: the specification's authorisation rules and state resolution, transcribed literally
//!   and slowly, which everything else is held against;
//! - the ledger of the specification's endpoints, with the feature `ledger`;
//! - [`Clock`] and [`Rng`]: time and randomness that are the same on every run.
//!
//! It deliberately knows nothing of the authorisation and resolution crates: what they are tested
//! with must not share their mistakes.
//!
//! The two types to start from are [`Room`] and [`RoomBuilder`].
//!
//! ```
//! use freehold_testkit::{GenerateConfig, generate, twin};
//!
//! let room = generate(42, &GenerateConfig::default());
//! let differences = twin::Differences::of(room.version.id()).unwrap();
//! let resolved = twin::resolve(&differences, &room.forks, &room.events);
//! for dropped in &resolved.dropped {
//!     println!("{} is dropped by rule {}", dropped.event_id, dropped.denied.rule);
//! }
//! ```

mod bench_room;
mod builder;
mod clock;
mod event;
mod generate;
mod large_room;
#[cfg(feature = "ledger")]
mod ledger;
mod rng;
mod room;
#[cfg(feature = "ruma")]
mod ruma_event;
mod seal;
pub mod twin;

#[cfg(feature = "ledger")]
pub use self::ledger::{EndpointState, Ledger, without_names};
#[cfg(feature = "ruma")]
pub use self::ruma_event::RumaEvent;
pub use self::{
    bench_room::{BenchRoom, bench_room},
    builder::{Draft, RoomBuilder},
    clock::Clock,
    event::{Events, MemoryEvents, RoomEvent, StateKey, StateMap},
    generate::{GenerateConfig, Recipe, Trouble, generate},
    large_room::LargeRoom,
    rng::Rng,
    room::Room,
    seal::{Sealing, ServerKeys},
};
