//! The network, as federation needs it: names, and HTTP over TLS.

mod address_policy;
mod body;
mod internet;
mod pool;
mod tls;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use freehold_store::BoxFuture;
use hyper::body::Bytes;
use hyper::{Request, Response};
use thiserror::Error;

pub use address_policy::AddressPolicy;
pub use body::{Body, BodyError};
pub use internet::Internet;
pub use tls::{CaError, client_tls};

/// The network. The real one is [`Internet`]; tests and simulations bring their own
/// (`fake::Network`, with the feature `fake`).
///
/// It decides nothing: which addresses may be asked, which name a certificate must have and what is tried next is said by
/// who calls it.
pub trait Transport: Send + Sync {
    /// The addresses of a host (A and AAAA, through CNAME).
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Looked<IpAddr>, LookupError>>;

    /// The SRV records of a name, in any order.
    fn srv<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Looked<SrvRecord>, LookupError>>;

    /// The TXT records of a name.
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Looked<String>, LookupError>>;

    /// Sees to it that there is a connection, over which the next request goes; nothing, where there are none.
    fn open<'a>(&'a self, _endpoint: &'a Endpoint) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Sends a request over TLS and gives the answer as soon as its head is there.
    ///
    /// The URI of the request is absolute; its authority is the `Host`. Connections may be kept and shared between
    /// requests with an equal endpoint. There is no bound on the time; who calls has one.
    fn send<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        request: Request<Bytes>,
    ) -> BoxFuture<'a, Result<Response<Body>, SendError>>;
}

/// What a look into the DNS found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked<T> {
    /// The records; none, if there are none.
    pub records: Vec<T>,
    /// For how long they may be believed, in milliseconds.
    pub valid_ms: i64,
}

/// One SRV record (<https://www.rfc-editor.org/rfc/rfc2782>).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SrvRecord {
    /// The lowest is tried first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The host, without a dot at its end; empty, if the service is decidedly not there.
    pub target: String,
    /// The port.
    pub port: u16,
}

/// The DNS did not answer, or not understandably. That there are no records is no error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the DNS does not answer for `{name}`: {reason}")]
pub struct LookupError {
    /// The name that was looked up.
    pub name: String,
    /// What came instead.
    pub reason: String,
}

/// One place to send a request to: an address, and the name that its certificate must have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address and port.
    pub address: SocketAddr,
    /// A host name or an IP address without brackets: what the certificate is for. Host names are also sent as SNI.
    pub certificate_name: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.address, self.certificate_name)
    }
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// No connection; the request was not sent.
    #[error("{address} cannot be reached: {reason}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        reason: String,
    },
    /// No TLS, or a certificate that is not good for the name; the request was not sent.
    #[error("{address} does not prove to be {certificate_name}: {reason}")]
    Tls {
        /// Where.
        address: SocketAddr,
        /// Who it should be.
        certificate_name: String,
        /// What is wrong.
        reason: String,
    },
    /// The connection broke, or what came is no HTTP; the request may have been received.
    #[error("{address} does not answer: {reason}")]
    Broken {
        /// Where.
        address: SocketAddr,
        /// What happened.
        reason: String,
    },
    /// The transport cannot be set up: the operator is at fault.
    #[error("the network cannot be used: {reason}")]
    SetUp {
        /// Why.
        reason: String,
    },
}

impl SendError {
    /// Whether the request certainly was not received, so that another address may be tried.
    pub fn was_not_sent(&self) -> bool {
        matches!(self, SendError::Connect { .. } | SendError::Tls { .. })
    }
}
