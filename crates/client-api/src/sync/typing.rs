//! [`PUT /rooms/{roomId}/typing/{userId}`](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid).

use axum::extract::State;
use freehold_sync::{SyncService, TypingError};
use ruma_client_api::typing::create_typing_event::v3::{Request, Response, Typing};
use ruma_common::api::error::ErrorCode;

use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Tells others in the room that the user types, or stopped.
pub(crate) async fn set_typing(
    State(service): State<SyncService>,
    user: Authenticated,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    if request.user_id != user.actor.user_id {
        return Err(ApiError::new(ErrorCode::Forbidden, "you can say of nobody but yourself that they type"));
    }
    let typing_for = match request.state {
        Typing::No => None,
        Typing::Yes(info) => Some(info.timeout),
    };
    service.set_typing(&user.actor, &request.room_id, typing_for).await?;
    Ok(Reply(Response::new()))
}

impl From<TypingError> for ApiError {
    fn from(error: TypingError) -> Self {
        match error {
            TypingError::NotJoined => ApiError::new(ErrorCode::Forbidden, error),
            TypingError::Read(error) => error.into(),
            TypingError::Room(error) => error.into(),
        }
    }
}
