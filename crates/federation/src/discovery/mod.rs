//! Where a server is, by its name (<https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names>).
//!
//! [`Plan`] is the six steps of the specification without any I/O; [`Discovery`] asks what it wants to know, and
//! remembers.

mod cache;
mod caching;
mod error;
mod finder;
mod plan;
mod srv_order;
mod step;
mod web;
mod well_known;

pub(crate) use cache::doubled;
pub use error::DiscoveryError;
pub use finder::{Discovery, DiscoveryParts};
pub(crate) use finder::{Memory, Sight};
pub use plan::{Ask, Plan, Told, Turn};
pub use step::{Step, Target};
pub(crate) use web::AGENT;
pub use web::{Page, Web, WebError, WebLimits};
pub use well_known::{Delegation, WellKnownError};
