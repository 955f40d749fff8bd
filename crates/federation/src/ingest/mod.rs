//! Events of other servers on their way into rooms, and what is missing for them.
//!
//! [`Ingest::take`] is for events that a server brought: keys are fetched, each event is received, and what is missing
//! is asked for: the events between first ([`Fetching::missing_events`]), because then the state is derived here; the
//! state before the oldest of them only when those end in nothing that is known; auth events as far as they are named.
//!
//! Several servers are asked, the one that brought the event first and the next whenever one is slow or of no use. Of an
//! answer only that is taken which was asked for. Everything is bounded in number, size and time
//! ([`limits`](crate::limits)); one event that fails keeps no other from being received.

mod ask;
mod catch_up;
mod chain;
mod driver;
mod fetching;
mod flight;
mod gap;
mod held;
mod over_client;
mod past;
mod repair;
mod state;
mod together;
mod vain;

pub use catch_up::CaughtUp;
pub use driver::{Ingest, IngestParts, TakeError, Taken, TakenEvents};
pub use fetching::{Asking, Fetching, MissingQuery, NoAnswer, StateIds, WholeState};
pub(crate) use held::{HeldLeft, Wanting};
pub use over_client::ClientFetching;
pub use repair::RoomRepair;
