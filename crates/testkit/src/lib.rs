//! Builders, adversarial generators and the naive twin that the tests of the workspace share.

mod bench_room;
mod builder;
mod clock;
mod event;
mod generate;
mod rng;
mod room;
mod seal;
pub mod twin;

pub use self::{
    bench_room::{BenchRoom, bench_room},
    builder::{Draft, RoomBuilder},
    clock::Clock,
    event::{Events, MemoryEvents, RoomEvent, StateKey, StateMap},
    generate::{GenerateConfig, Recipe, generate},
    rng::Rng,
    room::Room,
    seal::{Sealing, ServerKeys},
};
