//! What servers are not shown, as errors of the API.

use axum::http::StatusCode;
use freehold_rooms::{ActionError, NotServed, NotShown, Rooms};
use ruma_common::RoomId;
use ruma_common::api::error::ErrorCode;

use crate::asker::Asker;
use crate::error::ApiError;

/// Who is not in a room learns nothing, also not whether there is such a room: all refusals are one for them.
impl From<NotShown> for ApiError {
    fn from(error: NotShown) -> Self {
        match error {
            NotShown::UnknownRoom | NotShown::NotInRoom => not_in_room(),
            NotShown::ShutOut => ApiError::forbidden(error),
            NotShown::UnknownEvent(_) | NotShown::Hidden(_) => unknown_event(),
            NotShown::Partial => partial(error),
            NotShown::TooMuch => ApiError::too_large(error),
            error => ApiError::internal(error),
        }
    }
}

/// Other servers say it so, too; the specification names no code for it.
fn partial(error: impl std::fmt::Display) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, ErrorCode::from("M_UNABLE_DUE_TO_PARTIAL_STATE"), error)
}

fn not_in_room() -> ApiError {
    ApiError::forbidden("your server is not in this room")
}

/// Of an event that is asked for without its room: whether it is in a room that the server is not in makes no difference.
pub(super) fn without_room(error: NotShown) -> ApiError {
    match error {
        NotShown::UnknownRoom | NotShown::NotInRoom => unknown_event(),
        error => error.into(),
    }
}

fn unknown_event() -> ApiError {
    ApiError::not_found("there is no such event that your server may see")
}

/// Why a server does not get its user into a room, or out of it. One that is not in the room cannot tell a room that only the
/// invited may enter from one that does not exist; who is shut out by name is told so, as the specification says.
pub(super) async fn not_served(rooms: &Rooms, asker: &Asker, room_id: &RoomId, error: NotServed) -> ApiError {
    if matches!(error, NotServed::ShutOut(_) | NotServed::Failed(_)) {
        return refused(error);
    }
    match is_hidden(rooms, asker, room_id).await {
        Ok(true) => refused(NotServed::UnknownRoom),
        Ok(false) => refused(error),
        Err(error) => error,
    }
}

/// Whether a room is none of the business of the server that asks.
async fn is_hidden(rooms: &Rooms, asker: &Asker, room_id: &RoomId) -> Result<bool, ApiError> {
    let reader = rooms.reader()?;
    let Some(room) = reader.room_number(room_id).await? else { return Ok(true) };
    // That a neighbour of the tenant is in it makes no difference.
    if !reader.is_in_room(asker.tenant.number(), room).await? {
        return Ok(true);
    }
    if reader.server_in(room, &asker.origin).await?.is_some() {
        return Ok(false);
    }
    let summary = reader.summary(room).await?;
    Ok(summary.is_none_or(|room| matches!(room.join_rule.as_str(), "invite" | "private")))
}

/// What rooms refuse, as errors of the API.
pub(super) fn refused(error: NotServed) -> ApiError {
    let (status, errcode) = match &error {
        NotServed::UnknownRoom => {
            return ApiError::not_found("there is no such room, or it lets nobody of yours in");
        }
        NotServed::IncompatibleVersion { room_version } => {
            let version = *room_version;
            let error = ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::IncompatibleRoomVersion, error);
            return error.with("room_version", version);
        }
        NotServed::UnknownVersion(version) => {
            let version = version.clone();
            let error = ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::IncompatibleRoomVersion, error);
            return error.with("room_version", version);
        }
        NotServed::Partial => return partial(error),
        NotServed::ShutOut(_) | NotServed::Forbidden(_) | NotServed::MayNot(_) | NotServed::NoCondition => {
            (StatusCode::FORBIDDEN, ErrorCode::Forbidden)
        }
        NotServed::CannotAuthorise => (StatusCode::BAD_REQUEST, ErrorCode::UnableToAuthorizeJoin),
        NotServed::CannotGrant => (StatusCode::BAD_REQUEST, ErrorCode::UnableToGrantJoin),
        NotServed::Invalid(_) | NotServed::BadEvent(_) | NotServed::Unsigned(_) => {
            (StatusCode::BAD_REQUEST, ErrorCode::InvalidParam)
        }
        NotServed::Failed(ActionError::InviteBlocked(_)) => (StatusCode::FORBIDDEN, ErrorCode::InviteBlocked),
        NotServed::TooMany => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::LimitExceeded),
        NotServed::Failed(ActionError::Busy) => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unknown),
        _ => return ApiError::internal(error),
    };
    ApiError::new(status, errcode, error)
}
