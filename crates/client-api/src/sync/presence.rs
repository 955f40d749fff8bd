//! [Presence](https://spec.matrix.org/v1.19/client-server-api/#presence).

use std::time::Duration;

use axum::extract::State;
use freehold_sync::{PresenceError, PresenceState, Shown, SyncService};
use ruma_client_api::presence::{get_presence::v3 as get, set_presence::v3 as set};
use ruma_common::api::error::ErrorCode;
use ruma_common::presence;

use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// `PUT /presence/{userId}/status`.
pub(crate) async fn set_presence(
    State(service): State<SyncService>,
    user: Authenticated,
    Body(request): Body<set::Request>,
) -> Result<Reply<set::Response>, ApiError> {
    if request.user_id != user.actor.user_id {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            "you can say of nobody but yourself that they are online",
        ));
    }
    let state = state(&request.presence).ok_or_else(|| {
        ApiError::new(ErrorCode::InvalidParam, "`presence`: one of `online`, `unavailable`, `offline`")
    })?;
    service.set_presence(&user.actor, Shown { state, status_msg: request.status_msg }).await;
    Ok(Reply(set::Response::new()))
}

/// `GET /presence/{userId}/status`.
pub(crate) async fn get_presence(
    State(service): State<SyncService>,
    user: Authenticated,
    Body(request): Body<get::Request>,
) -> Result<Reply<get::Response>, ApiError> {
    let told = service.presence_of(&user.actor, &request.user_id).await?;
    let mut response = get::Response::new(match told.shown.state {
        PresenceState::Online => presence::PresenceState::Online,
        PresenceState::Unavailable => presence::PresenceState::Unavailable,
        PresenceState::Offline => presence::PresenceState::Offline,
    });
    response.currently_active = Some(told.is_currently_active());
    response.last_active_ago = u64::try_from(told.last_active_ago_ms).ok().map(Duration::from_millis);
    response.status_msg = told.shown.status_msg;
    Ok(Reply(response))
}

/// What a client says; `None` if it is none of the states that the specification has.
pub(super) fn state(said: &presence::PresenceState) -> Option<PresenceState> {
    match said {
        presence::PresenceState::Online => Some(PresenceState::Online),
        presence::PresenceState::Unavailable => Some(PresenceState::Unavailable),
        presence::PresenceState::Offline => Some(PresenceState::Offline),
        _ => None,
    }
}

impl From<PresenceError> for ApiError {
    fn from(error: PresenceError) -> Self {
        match error {
            PresenceError::NoSharedRoom => ApiError::new(ErrorCode::Forbidden, error),
            PresenceError::Read(error) => error.into(),
            PresenceError::Room(error) => error.into(),
        }
    }
}
