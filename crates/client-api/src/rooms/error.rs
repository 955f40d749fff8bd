//! What rooms refuse, as errors of the API.

use axum::http::StatusCode;
use freehold_event::{BuildError, FormatError};
use freehold_rooms::{ActionError, Rooms, Unanswered};
use freehold_store::Actor;
use ruma_common::RoomId;
use ruma_common::api::error::ErrorCode;

use crate::error::ApiError;

impl From<ActionError> for ApiError {
    fn from(error: ActionError) -> Self {
        if let ActionError::Refused { answer, .. } = &error {
            return refused(answer, &error);
        }
        if matches!(error, ActionError::Partial) {
            return partial();
        }
        match errcode(&error) {
            Some(errcode) => ApiError::new(errcode, explained(&error)),
            None => ApiError::internal(error),
        }
    }
}

/// Who asks again later may get an answer.
pub(super) fn partial() -> ApiError {
    let message = "not all members of the room are known here yet; try again in a moment";
    ApiError::new(ErrorCode::Unknown, message).with_status(StatusCode::SERVICE_UNAVAILABLE)
}

/// Why a user could not do something in a room. Who is not and was not in it learns nothing, also not whether there is
/// such a room: all refusals are one for them.
pub(crate) async fn in_room(rooms: &Rooms, actor: &Actor, room_id: &RoomId, error: ActionError) -> ApiError {
    if errcode(&error).is_none() {
        return error.into();
    }
    match is_known(rooms, actor, room_id).await {
        Ok(true) => error.into(),
        Ok(false) => not_in_room(),
        Err(error) => error,
    }
}

/// Why a user could not come into a room: as [`in_room`].
pub(crate) async fn entering(rooms: &Rooms, actor: &Actor, room_id: &RoomId, error: ActionError) -> ApiError {
    if errcode(&error).is_none() {
        return error.into();
    }
    match is_known(rooms, actor, room_id).await {
        Ok(true) => error.into(),
        Ok(false) => ApiError::new(ErrorCode::Forbidden, "there is no such room, or it does not let you in"),
        Err(error) => error,
    }
}

/// The refusal of whatever is asked about a room by somebody who is not in it.
pub(crate) fn not_in_room() -> ApiError {
    ApiError::new(ErrorCode::Forbidden, "you are not in this room")
}

/// Whether the user has or had a membership in the room.
async fn is_known(rooms: &Rooms, actor: &Actor, room_id: &RoomId) -> Result<bool, ApiError> {
    let reader = rooms.reader()?;
    let Some(room) = reader.room_number(room_id).await? else { return Ok(false) };
    let membership = reader.membership(actor.user, room).await?;
    Ok(membership.is_some_and(|membership| !membership.forgotten))
}

/// What another server said: its refusals are for the user, all else is between servers.
fn refused(answer: &Unanswered, error: &ActionError) -> ApiError {
    let Unanswered::Refused { status, errcode, message, room_version } = answer else {
        return ApiError::new(ErrorCode::ConnectionFailed, explained(error))
            .with_status(StatusCode::BAD_GATEWAY);
    };
    let status = match status {
        400 | 403 | 404 | 429 => StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY),
        _ => StatusCode::BAD_GATEWAY,
    };
    let is_ours = matches!(errcode.as_str(), "M_MISSING_PARAM" | "M_INVALID_PARAM");
    // "the Client-Server API request SHOULD fail with a 5xx error rather than being passed through"
    let status = if is_ours { StatusCode::BAD_GATEWAY } else { status };
    let refusal = ApiError::new(ErrorCode::from(errcode.as_str()), message).with_status(status);
    match room_version {
        Some(version) => refusal.with("room_version", version.as_str()),
        None => refusal,
    }
}

/// The code of a refusal; `None` for a fault of the server.
fn errcode(error: &ActionError) -> Option<ErrorCode> {
    Some(match error {
        ActionError::UnknownRoom(_)
        | ActionError::NotInRoom
        | ActionError::Forbidden(_)
        | ActionError::ShutOut(_)
        | ActionError::MayNot(_)
        | ActionError::SwitchedOff(_)
        | ActionError::Invite { .. } => ErrorCode::Forbidden,
        ActionError::UnknownEvent(_) | ActionError::UnknownAlias(_) | ActionError::Elsewhere(_) => {
            ErrorCode::NotFound
        }
        ActionError::InviteBlocked(_) => ErrorCode::InviteBlocked,
        ActionError::TooManyRooms { .. } => ErrorCode::ResourceLimitExceeded,
        ActionError::CannotAuthorise => ErrorCode::UnableToAuthorizeJoin,
        ActionError::UnsupportedVersion(_) => ErrorCode::UnsupportedRoomVersion,
        ActionError::AliasTaken(_) => ErrorCode::RoomInUse,
        ActionError::ForeignAlias(_) => ErrorCode::InvalidParam,
        ActionError::BadAlias(_) => ErrorCode::BadAlias,
        ActionError::DuplicateAnnotation => ErrorCode::DuplicateAnnotation,
        ActionError::NestedThread => ErrorCode::Unknown,
        ActionError::BadField { .. } | ActionError::Content(_) => ErrorCode::BadJson,
        ActionError::InvalidState(inner) => match errcode(inner)? {
            ErrorCode::TooLarge => ErrorCode::TooLarge,
            _ => ErrorCode::InvalidRoomState,
        },
        ActionError::Build(error) => return build_errcode(error),
        ActionError::NotReached(_) | ActionError::BadAnswer { .. } => ErrorCode::ConnectionFailed,
        ActionError::Busy => ErrorCode::LimitExceeded,
        _ => return None,
    })
}

fn build_errcode(error: &BuildError) -> Option<ErrorCode> {
    match error {
        BuildError::TooLong(_)
        | BuildError::Format(FormatError::TooLarge { .. } | FormatError::TooLong { .. }) => {
            Some(ErrorCode::TooLarge)
        }
        BuildError::Format(_) => Some(ErrorCode::BadJson),
        _ => None,
    }
}

/// The whole chain of reasons: the outermost alone says too little.
fn explained(error: &ActionError) -> String {
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let reasons: Vec<String> = chain.map(ToString::to_string).collect();
    reasons.join(": ")
}
