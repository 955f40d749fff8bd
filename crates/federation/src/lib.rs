//! How tenants reach other servers.
//!
//! - [`Discovery`] finds a server by its name, with the steps of the specification ([`Plan`]).
//! - [`Client`] makes requests in the name of a tenant, signed, within bounds of time and size.
//! - [`Health`] knows which servers do not answer, and leaves them in peace.
//! - [`Outbound`] sends what other servers are to have: a queue for each tenant and server.
//! - [`Remote`] asks what rooms want to know of other servers.
//! - [`MediaOfServers`] fetches files.
//! - [`RemoteKeyring`] has the keys of other servers, and answers as a notary.
//! - [`Doctor`] says why a server cannot be reached, and why tenants cannot be.
//! - [`LateMembers`] has rooms become whole that were joined before all their members were known.
//! - [`Ingest`] takes the events that others bring, and asks for what is missing.
//!
//! All of it goes over a [`Transport`]: the [`Internet`], or a network in memory (with the feature `fake`), so that tests
//! and simulations need no sockets.
//!
//! # What it does not do
//!
//! It serves no requests. It knows no name that is "ours": every signed request is made for a [`Tenant`](freehold_store::Tenant), and a
//! request from one tenant of this process to another never leaves it ([`RequestError::Local`]).
//!
//! # Where to start
//!
//! [`Client::request`] and [`RemoteKeyring::keys_for`].

mod backlog;
mod client;
mod discovery;
mod doctor;
#[cfg(feature = "fake")]
pub mod fake;
mod health;
mod ingest;
mod keys;
mod late_members;
mod late_state;
pub mod limits;
mod media;
mod outbound;
mod randomness;
mod remote;
mod transport;

pub use client::{Answer, Attempt, Client, ClientParts, Fault, Refusal, Request, RequestError, Streamed};
pub use discovery::{
    Ask, Delegation, Discovery, DiscoveryError, DiscoveryParts, Page, Plan, Step, Target, Told, Turn, Web,
    WebError, WebLimits, WellKnownError,
};
pub use doctor::{Contact, Diagnosis, Doctor, Place, Reach, Seen, TenantReach};
pub use health::{Health, HealthParts, Outlook};
/// HTTP, in the version in which requests are taken and answers given.
pub use hyper::http;
pub use ingest::{
    Asking, CaughtUp, ClientFetching, Fetching, Ingest, IngestParts, MissingQuery, NoAnswer, RoomRepair,
    StateIds, TakeError, Taken, TakenEvents, WholeState,
};
pub use keys::{KeySnapshot, NotaryError, OwnDocuments, RemoteKeyring, RemoteKeyringParts};
pub use late_members::LateMembers;
pub use media::{FileBody, FileError, FileForm, FileRequest, MediaOfServers, MultipartError, RemoteFile};
pub use outbound::{
    DeviceNews, NoDevices, Outbound, OutboundParts, OutboundReport, OwnDevices, TenantsByNumber,
    ToldPresence, ToldReceipt,
};
pub use randomness::{Randomness, SystemRandomness};
pub use remote::Remote;
pub use transport::{
    AddressPolicy, Body, BodyError, CaError, Endpoint, Internet, Looked, LookupError, SendError, SrvRecord,
    Transport, client_tls,
};
