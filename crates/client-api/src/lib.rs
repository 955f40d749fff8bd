//! The client-server API of the Matrix specification, v1.19, for many tenants in one process.
//!
//! A request walks this way:
//!
//! 1. [`router`] finds the endpoint; what it does not know is `M_UNRECOGNIZED`.
//! 2. Extractors make typed arguments of it: [`TenantOfHost`] from the `Host`, [`Authenticated`] from the access
//!    token, which must be one of that tenant, and [`Body`] from path, query and body, with rate limits.
//! 3. The handler, one file per endpoint or per close group in a folder per area, calls a service.
//! 4. [`Reply`] or [`ApiError`] becomes the answer.
//!
//! A handler's arguments are its dependency list: services are taken one by one out of [`Services`].
//!
//! # What it does not do
//!
//! It opens no socket and holds no data; `freehold` wires it. Who owns a host name and whose an access token is, it
//! asks through [`TenantsByHost`] and [`Authenticate`].

mod account;
mod authenticated;
mod bodies;
mod consent;
mod cors;
mod discovery;
mod encryption;
mod endpoints;
mod error;
mod in_flight;
mod json_path;
mod limits;
mod media;
mod older_events;
mod other_directories;
mod push;
mod reply;
mod request;
mod rooms;
mod router;
mod services;
mod sync;
mod tenant_of_host;
mod trace;

pub use authenticated::{
    Authenticate, Authenticated, AuthenticationError, EvenLocked, EvenSuspended, Session, Standing,
};
pub use bodies::Bodies;
pub use endpoints::{Access, Endpoint, Endpoints};
pub use error::ApiError;
pub use in_flight::InFlight;
pub use limits::{LimitKey, Limits, LimitsSettings, Rate, RetryAfter};
pub use older_events::{NoOlderEvents, OlderEvents};
pub use other_directories::{NoOtherDirectories, OtherDirectories};
pub use reply::Reply;
pub use request::Body;
pub use router::{endpoints, router};
pub use ruma_common::api::error::ErrorCode;
pub use services::Services;
pub use tenant_of_host::{Connection, TenantOfHost, TenantsByHost};
