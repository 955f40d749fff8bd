//! Why a server is not found.

use thiserror::Error;

use crate::transport::LookupError;

/// Why a server is not found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DiscoveryError {
    /// Its host has no address.
    #[error("`{host}` has no address")]
    NoAddress {
        /// The host.
        host: String,
    },
    /// All its addresses are of networks that are not asked.
    #[error("`{host}` has only addresses that are not of the internet")]
    NotPublic {
        /// The host.
        host: String,
    },
    /// Its SRV record says that there is no server.
    #[error("`{name}` says that there is no server")]
    NotOffered {
        /// The name of the SRV record.
        name: String,
    },
    /// The DNS did not answer.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}
