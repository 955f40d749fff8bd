//! Builders, adversarial generators and the naive twin that the tests of the workspace share.

mod clock;
mod event;
mod rng;
pub mod twin;

pub use self::{
    clock::Clock,
    event::{Events, MemoryEvents, RoomEvent, StateKey, StateMap},
    rng::Rng,
};
