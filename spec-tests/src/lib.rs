//! The vectors of the Matrix specification and the comparisons with other implementations.
//!
//! `data/` holds what the specification gives as data; the tests hold our libraries against it.
//! [`compare()`] asks our libraries, the naive twin of the test kit and `ruma-state-res` the same
//! questions about one generated room; the binary `compare-rooms` does so for as many as one likes.

mod compare;
pub mod fuzz;
mod numbered;
mod ours;
mod ruma;

pub use self::{
    compare::{Disagreement, Tally, compare},
    ours::resolve,
    ruma::{RumaEvent, RumaRoom},
};
