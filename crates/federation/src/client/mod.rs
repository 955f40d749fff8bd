//! Requests to other servers, in the name of a tenant.

mod answer;
mod error;
mod opening;
mod patience;
mod request;
mod sending;

pub use answer::{Answer, Streamed};
pub use error::{Fault, Refusal, RequestError};
pub use request::{Attempt, Request};
pub use sending::{Client, ClientParts};
pub(crate) use sending::{Door, message};
