//! The room machine: pure and synchronous, events in, verdicts and effects out.
//!
//! A [`Room`] is a value: the current state and the forward extremities. What happens to an event is always
//! the same walk, whoever made it:
//!
//! | step | who | function |
//! |---|---|---|
//! | a user wants something | ours | [`Room::draft`], then signing |
//! | format, signatures, hashes | others' | [`parse`], [`verify`] |
//! | auth events, state before, current state | all | [`Room::receive`] |
//! | auth events alone | of auth chains and states that others gave | [`Room::receive_outlier`] |
//! | what a redaction takes | all | [`Room::takes_effect`] |
//!
//! [`Room::receive`] gives a [`Receipt`]: the verdict, what is to be made durable, and the room as it is
//! afterwards. Nothing has happened until the caller has stored it.
//!
//! # What it does not do
//!
//! No I/O. It asks a [`Shelf`] for pieces of the room, and what is not there comes back as [`Stop::Needs`] (to be
//! read from the store) or [`Received::Fetch`] (to be asked of other servers).
//!
//! # Where to start
//!
//! [`Room`], [`Shelf`] and [`Receipt`].

mod acl;
mod before;
mod draft;
mod event;
mod judge;
mod receive;
mod recompute;
mod redaction;
mod resolve;
mod room;
mod settle;
mod shelf;

pub use acl::ServerAcl;
pub use before::GivenError;
pub use draft::{Draft, DraftError};
pub use event::{Event, Standing};
pub use receive::{
    Coming, CreateError, Dropped, Fetch, Numbers, Place, Receipt, ReceiveError, Received, Refused, parse,
    parse_past, verify, verify_all,
};
pub use recompute::{nodes_beside, rechecked, state_after_all};
pub use resolve::BUDGET;
pub use room::{Room, StoredRoom};
pub use shelf::{Needs, Nodes, Shelf, Stop};

pub use freehold_state_res::ResolveBudget;
