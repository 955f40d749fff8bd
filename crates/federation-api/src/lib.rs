//! The server-server API of the Matrix specification, v1.19, for many tenants in one process.
//!
//! A request walks this way:
//!
//! 1. [`router`] finds the endpoint; what it does not know is `M_UNRECOGNIZED`.
//! 2. `authenticate.rs` reads the body and checks the `X-Matrix` header: that the origin signed this request to the
//!    tenant whose host it reached, that the tenant speaks with the origin, and that the origin does not ask too much.
//! 3. The handler, one file per endpoint or per close group, learns from [`Asker`] which server asks which tenant, and
//!    calls a service.
//! 4. A value or [`ApiError`] becomes the answer.
//!
//! # Always a tenant
//!
//! A request signed for one tenant is refused at every other one: the name that the signature must cover is that of the
//! tenant of the host, never one from the request. What is answered depends on what that tenant could know if it were
//! a server of its own.
//!
//! # What it does not do
//!
//! It opens no socket, asks no other server and holds no rooms. `freehold` wires it, and puts [`Connection`] into each
//! request.

mod asker;
mod authenticate;
mod bodies;
mod connection;
mod devices;
mod directory;
mod endpoints;
mod error;
mod heavy;
mod input;
mod keys;
mod limits;
mod media;
mod openid;
mod outside;
mod over_federation;
mod profile;
mod rooms;
mod router;
mod send;
mod services;
mod trace;
mod version;

pub use asker::Asker;
pub use connection::Connection;
pub use endpoints::{Access, Endpoint, Endpoints};
pub use error::ApiError;
pub use limits::{Limits, LimitsSettings, Rate};
pub use outside::{Ingest, IngestRefusal, Notary, NotaryRefusal, OriginKeys, Taken, Tenants, Unserved};
pub use over_federation::KeysOfOrigins;
pub use router::{endpoints, router};
pub use send::{NOT_ALLOWED, NotForgotten, RememberedCursor, Transactions};
pub use services::Services;
