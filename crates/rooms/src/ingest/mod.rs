//! What happens to an event of another server, step by step.

mod begin;
mod check;
mod foreign;
mod given;
mod order;
mod outliers;
pub(crate) mod past;
mod policy;
mod ready;
mod redactions;
mod tie;
mod together;

pub(crate) use check::{Checked, Known};
pub(crate) use foreign::{Arrival, NamedBy};
pub(crate) use given::Given;
pub(crate) use ready::Ready;
pub(crate) use together::Arrivals;
