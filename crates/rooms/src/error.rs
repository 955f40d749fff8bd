//! Why something was not done in a room.

use freehold_canonical_json::ParseError;
use freehold_event::BuildError;
use freehold_event_auth::Denial;
use freehold_room::Stop;
use freehold_signing::{CountersignError, SignEventError, SignatureError};
use freehold_store::{CommitError, NumberError, ReadError};
use ruma_common::{OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId};

use crate::outside::{SigningError, Unanswered};
use crate::remote::BadAnswer;

/// Why something was not done in a room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// No such room, as far as the user can know.
    #[error("no such room")]
    UnknownRoom(OwnedRoomId),
    /// No such event in the room, as far as the user can know.
    #[error("no such event")]
    UnknownEvent(OwnedEventId),
    /// No such alias.
    #[error("no such room alias")]
    UnknownAlias(OwnedRoomAliasId),
    /// The user is not in the room.
    #[error("you are not in this room")]
    NotInRoom,
    /// The rules of the room do not allow it.
    #[error("the rules of the room do not allow this")]
    Forbidden(#[source] Denial),
    /// Not all members of the room are known here yet.
    #[error("not all members of the room are known here yet")]
    Partial,
    /// The room's access control list shuts the user's server out.
    #[error("the access control list of the room shuts {0} out")]
    ShutOut(OwnedServerName),
    /// The user may not do this, for a reason that is no rule of the room.
    #[error("{0}")]
    MayNot(&'static str),
    /// A restricted join that nobody here can authorise.
    #[error("nobody can authorise the join")]
    CannotAuthorise,
    /// Nobody here is in the room, so nothing can be said about it.
    #[error("the room is not known here")]
    Elsewhere(OwnedRoomId),
    /// A room version that is not known.
    #[error("room version {0:?} is not known")]
    UnsupportedVersion(String),
    /// The alias leads to a room already.
    #[error("the room alias is taken")]
    AliasTaken(OwnedRoomAliasId),
    /// The alias is none of the user's server, or no alias.
    #[error("not a room alias of this server")]
    ForeignAlias(String),
    /// An alias in a canonical alias event does not lead to the room.
    #[error("{0} does not lead to this room")]
    BadAlias(String),
    /// The user annotated the event in the same way before.
    #[error("you said the same of this event already")]
    DuplicateAnnotation,
    /// A thread on an event that relates to another one.
    #[error("an event that relates to another one is no root of a thread")]
    NestedThread,
    /// A part of the request is wrong.
    #[error("`{field}`: {reason}")]
    BadField {
        /// Where in the request.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The content is no JSON that events can have.
    #[error("the content is no JSON that events can have")]
    Content(#[source] ParseError),
    /// The state that a new room was to have is not allowed.
    #[error("the state of the new room is not allowed")]
    InvalidState(#[source] Box<ActionError>),
    /// What was asked for is no event that other servers would take.
    #[error("not a valid event")]
    Build(#[from] BuildError),
    /// The user is banned, or was not invited.
    #[error("{user_id} cannot be invited: {reason}")]
    Invite {
        /// Who was to be invited.
        user_id: OwnedUserId,
        /// Why not.
        reason: &'static str,
    },
    /// The user wants no invites.
    #[error("{0} wants no invites")]
    InviteBlocked(OwnedUserId),
    /// The tenant does not want this feature.
    #[error("this server does not offer `{0}`")]
    SwitchedOff(&'static str),
    /// The tenant has as many rooms as it may have.
    #[error("this server makes no more than {max} rooms")]
    TooManyRooms {
        /// The bound.
        max: u64,
    },
    /// The user is of a server that is not hosted here, and others are not reached yet.
    #[error("{0} cannot be reached")]
    NotReached(OwnedServerName),
    /// Another server did not help.
    #[error("{server} does not help")]
    Refused {
        /// The server.
        server: OwnedServerName,
        /// What it answered.
        #[source]
        answer: Unanswered,
    },
    /// Another server gave an answer that is not believed.
    #[error("{server} gave an answer that does not hold")]
    BadAnswer {
        /// The server.
        server: OwnedServerName,
        /// What is wrong with it.
        #[source]
        source: BadAnswer,
    },
    /// Others were faster each time; the request may be repeated.
    #[error("others changed the room at the same time")]
    Busy,
    /// The tenant cannot sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// An event of ours does not get its signatures; a fault here.
    #[error("the event cannot be signed")]
    Unsigned(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The room is damaged; a fault here.
    #[error("the room is damaged")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store gives no numbers.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// The store cannot be written.
    #[error("store did not take the change")]
    Commit(#[from] CommitError),
    /// The operating system gives no random bytes.
    #[error("no random bytes")]
    Random,
}

impl ActionError {
    /// Whether somebody else was first, so that the same is to be tried anew.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, ActionError::Commit(CommitError::Conflict { .. }))
    }

    /// Whether the whole server cannot go on for now: the store is full, cannot be read or written, or others were first each
    /// time. Whoever brought something is to bring it again. Any other fault here is one of a room or of an event, and the same again
    /// when it comes again.
    pub fn is_of_server(&self) -> bool {
        let is_engine = |error: &ReadError| matches!(error, ReadError::Engine(_));
        match self {
            ActionError::Busy | ActionError::Random | ActionError::Number(NumberError::Counter(_)) => true,
            ActionError::Read(error) | ActionError::Number(NumberError::Read(error)) => is_engine(error),
            ActionError::Commit(error) => !matches!(error, CommitError::TooLarge { .. }),
            _ => false,
        }
    }

    pub(crate) fn damaged(what: &'static str) -> Self {
        ActionError::Damaged(what.into())
    }
}

impl From<Stop> for ActionError {
    fn from(stop: Stop) -> Self {
        ActionError::Damaged(Box::new(stop))
    }
}

macro_rules! unsigned {
    ($($error:ty),*) => {$(
        impl From<$error> for ActionError {
            fn from(error: $error) -> Self {
                ActionError::Unsigned(Box::new(error))
            }
        }
    )*};
}

unsigned!(SignEventError, CountersignError, SignatureError);
