//! What operators and tenants' administrators do to the server.
//!
//! There is one set of [`Command`]s with one set of [`Answer`]s. A running server takes them over HTTP ([`router`]); on
//! a stopped one the same [`Desk`] carries them out directly on its store. Words and output are the same.
//!
//! An operator may do everything; an administrator of a tenant only what concerns that tenant ([`Authority`]).
//!
//! # What it does not do
//!
//! It knows neither accounts nor rooms: whose an access token is, it asks through [`TenantAdmins`].

mod answer;
mod authority;
mod command;
mod desk;
mod records;
mod refusal;
mod router;

pub use answer::{Answer, TenantSummary};
pub use authority::{Authority, TenantAdmins};
pub use command::Command;
pub use desk::Desk;
pub use refusal::Refusal;
pub use router::{PREFIX, local_router, router};
