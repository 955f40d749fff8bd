//! Why a request has no answer that is of use.

use freehold_canonical_json::ParseError;
use freehold_rooms::SigningError;
use ruma_common::OwnedServerName;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::discovery::DiscoveryError;
use crate::transport::SendError;

/// Why a request has no answer that is of use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The destination is a tenant of this process: who asks answers by itself.
    #[error("`{server_name}` is hosted here")]
    Local {
        /// The destination.
        server_name: OwnedServerName,
    },
    /// The tenant does not speak with the destination, by its policy.
    #[error("the tenant does not speak with `{server_name}`")]
    NotSpokenWith {
        /// The destination.
        server_name: OwnedServerName,
    },
    /// Nothing can be signed for the tenant.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The body that was to be sent is not JSON.
    #[error("what was to be sent is not JSON: {0}")]
    Content(#[from] ParseError),
    /// The path that was to be asked for is none.
    #[error("`{uri}` is no path below /_matrix/")]
    Uri {
        /// What it is.
        uri: String,
    },
    /// The server did not answer lately, and is left in peace.
    #[error("the server did not answer lately")]
    Waiting {
        /// When it is asked again, in milliseconds since the Unix epoch.
        until_ts: i64,
    },
    /// The server told the tenant to wait.
    #[error("the server said that the tenant is to wait")]
    ToldToWait {
        /// Until when, in milliseconds since the Unix epoch.
        until_ts: i64,
    },
    /// The server is not found.
    #[error(transparent)]
    NotFound(#[from] DiscoveryError),
    /// The server cannot be spoken to.
    #[error(transparent)]
    NotReached(#[from] SendError),
    /// The answer did not come in time.
    #[error("no answer in time")]
    TooSlow,
    /// The answer is longer than was allowed.
    #[error("the answer has more than {bytes_max} bytes")]
    TooLarge {
        /// The most bytes that were allowed.
        bytes_max: usize,
    },
    /// The answer broke off.
    #[error("the answer broke off: {reason}")]
    BrokeOff {
        /// What happened.
        reason: String,
    },
    /// The server said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server redirected, which no such request may.
    #[error("the answer is a redirection ({status})")]
    Redirected {
        /// The status.
        status: u16,
    },
    /// The answer has not the shape of one.
    #[error("the answer is malformed: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
}

/// Who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// We are: the request should not have been made, or not like this.
    Ours,
    /// The other server is: it answered, and not as it should.
    Theirs,
    /// Nobody answered: the other server is at fault, or the network between.
    Unreachable,
}

impl RequestError {
    /// Who is at fault.
    pub fn fault(&self) -> Fault {
        match self {
            RequestError::Local { .. }
            | RequestError::NotSpokenWith { .. }
            | RequestError::Signing(_)
            | RequestError::Content(_)
            | RequestError::Uri { .. }
            | RequestError::ToldToWait { .. }
            | RequestError::NotReached(SendError::SetUp { .. }) => Fault::Ours,
            RequestError::Refused(refusal) if refusal.status < 500 => Fault::Ours,
            RequestError::Refused(_)
            | RequestError::TooLarge { .. }
            | RequestError::Redirected { .. }
            | RequestError::Malformed { .. } => Fault::Theirs,
            RequestError::Waiting { .. }
            | RequestError::NotFound(_)
            | RequestError::NotReached(_)
            | RequestError::TooSlow
            | RequestError::BrokeOff { .. } => Fault::Unreachable,
        }
    }

    /// What the server said, if it said no.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            RequestError::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// When it is worth asking again, in milliseconds since the Unix epoch, as far as that is known.
    pub fn retry_ts(&self) -> Option<i64> {
        match self {
            RequestError::Waiting { until_ts } | RequestError::ToldToWait { until_ts } => Some(*until_ts),
            _ => None,
        }
    }
}

/// An answer with a status of failure
/// (<https://spec.matrix.org/v1.19/client-server-api/#standard-error-response>).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the server answered {status} {errcode}: {message}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The `errcode`; empty, if there is none.
    pub errcode: String,
    /// The `error`, shortened; for people.
    pub message: String,
    /// For how long we are to wait, in milliseconds, if the answer says so.
    pub retry_after_ms: Option<i64>,
    /// The whole body, if it is a JSON object: some errors have members of their own.
    pub body: Map<String, Value>,
}
