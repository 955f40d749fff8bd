//! What a domain publishes, as the world sees it.

use std::net::IpAddr;

use freehold_store::BoxFuture;
use thiserror::Error;

/// The DNS and the web, as far as proofs of control need them. Tests have a small world of their own.
pub trait Outside: Send + Sync {
    /// The TXT records of a name; empty if there are none.
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, Unseen>>;

    /// The targets and ports of the SRV records of a name, best first; empty if there are none.
    fn srv<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<(String, u16)>, Unseen>>;

    /// The addresses of a name; empty if there are none.
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, Unseen>>;

    /// The body of an answer to `GET https://{host}{path}`, redirections followed; `None` if there is nothing.
    fn page<'a>(&'a self, host: &'a str, path: &'a str) -> BoxFuture<'a, Result<Option<String>, Unseen>>;
}

/// Something could not be looked at: nobody answered, or not in time, or not understandably.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Unseen {
    /// Why, for people.
    pub reason: String,
}

impl Unseen {
    /// Says why something could not be looked at.
    pub fn because(reason: impl std::fmt::Display) -> Self {
        Unseen { reason: reason.to_string() }
    }
}
