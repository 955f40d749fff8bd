//! Why another server is not served, and why its answers are not believed.

use freehold_event::{FormatError, UnknownRoomVersion};
use freehold_event_auth::Denial;
use freehold_room::Dropped;
use ruma_common::OwnedServerName;

use crate::error::ActionError;
use crate::outside::Unanswered;
use crate::read::Unreadable;

/// Why another server is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotServed {
    /// The tenant is not in such a room: `M_NOT_FOUND`.
    #[error("not in this room")]
    UnknownRoom,
    /// The server does not know the version of the room: `M_INCOMPATIBLE_ROOM_VERSION`.
    #[error("the room has version {room_version}")]
    IncompatibleVersion {
        /// The version of the room.
        room_version: &'static str,
    },
    /// No room version that is known here: `M_INCOMPATIBLE_ROOM_VERSION`.
    #[error("room version {0:?} is not known here")]
    UnknownVersion(String),
    /// The access control list of the room shuts the server out: `M_FORBIDDEN`.
    #[error("the access control list of the room shuts {0} out")]
    ShutOut(OwnedServerName),
    /// The rules of the room do not allow it: `M_FORBIDDEN`.
    #[error("the rules of the room do not allow this")]
    Forbidden(#[source] Denial),
    /// Something else does not allow it: `M_FORBIDDEN`.
    #[error("{0}")]
    MayNot(&'static str),
    /// The user meets none of the conditions of a restricted room: `M_FORBIDDEN`.
    #[error("the user meets none of the conditions of the room")]
    NoCondition,
    /// Whether the user meets a condition cannot be told by this tenant: `M_UNABLE_TO_AUTHORISE_JOIN`.
    #[error("the conditions of the room cannot be checked here")]
    CannotAuthorise,
    /// Nobody of this tenant may invite: `M_UNABLE_TO_GRANT_JOIN`.
    #[error("nobody here may let the user in")]
    CannotGrant,
    /// The request is wrong: `M_INVALID_PARAM`.
    #[error("{0}")]
    Invalid(&'static str),
    /// The event is no event of the room, or is not signed by those who must: `M_INVALID_PARAM`.
    #[error("not a valid event of the room")]
    BadEvent(#[source] Dropped),
    /// The event is not signed by those who must: `M_INVALID_PARAM`.
    #[error("the event is not to be signed")]
    Unsigned(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not all members of the room are known here yet: `M_UNABLE_DUE_TO_PARTIAL_STATE`, as other servers say it.
    #[error("not all members of the room are known here yet")]
    Partial,
    /// The user has too many invites: `M_LIMIT_EXCEEDED`.
    #[error("the user has too many invites")]
    TooMany,
    /// A fault here.
    #[error(transparent)]
    Failed(#[from] ActionError),
}

impl NotServed {
    /// Whether somebody else was first, so that the same is to be tried anew.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, NotServed::Failed(error) if error.is_conflict())
    }
}

macro_rules! failed {
    ($($error:ty),*) => {$(
        impl From<$error> for NotServed {
            fn from(error: $error) -> Self {
                NotServed::Failed(error.into())
            }
        }
    )*};
}

failed!(
    freehold_store::ReadError,
    freehold_store::NumberError,
    freehold_store::CommitError,
    freehold_room::Stop,
    Unreadable
);

impl From<Dropped> for NotServed {
    fn from(dropped: Dropped) -> Self {
        NotServed::BadEvent(dropped)
    }
}

/// Why the answer of another server is not believed. That server is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadAnswer {
    /// It broke off.
    #[error("the answer broke off")]
    BrokeOff(#[source] Unanswered),
    /// It is no JSON of the form that was asked for.
    #[error("the answer has not the form of an answer: {0}")]
    Form(&'static str),
    /// It is beyond what one answer may be.
    #[error("the answer has more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// A room version that is not known here.
    #[error("room version {0:?} is not known")]
    UnknownVersion(String),
    /// The create event is of another version than the template said.
    #[error("the create event is of another version than the template")]
    OtherVersion(#[source] Option<UnknownRoomVersion>),
    /// An event that was needed is no event.
    #[error("not a well-formed event")]
    Format(#[from] FormatError),
    /// There is no valid create event in the state.
    #[error("the state has no valid create event")]
    NoCreate,
    /// What it gave as the state is no state of the room.
    #[error("not a state of the room")]
    State(#[source] freehold_room::GivenError),
    /// Some of the events cannot be verified now, because nobody tells the keys of those who signed them.
    #[error("{0} events cannot be verified, because keys are not known")]
    Unverified(usize),
    /// It leaves out events that authorise others of it.
    #[error("{0} events that authorise others of the answer are not told")]
    Untold(usize),
    /// What it gave as the state lacks something that was told at the join, or differs from it in more than members.
    #[error("the state is not the one that was told at the join")]
    OtherState,
    /// What it gave does not allow what it took.
    #[error("the state does not allow the event")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It gave back another event than it got.
    #[error("not the event that was sent")]
    OtherEvent,
    /// The event lacks a signature that the server should have added.
    #[error("the event is not signed by all who must")]
    Unsigned(#[source] Box<dyn std::error::Error + Send + Sync>),
}
