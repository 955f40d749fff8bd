//! Waiting for rooms of whose members only a few are known yet: whatever is asked about such a room waits until all are, but for
//! what no member has to be known for.

use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use freehold_store::Actor;
use ruma_common::RoomId;
use tokio::time::timeout;

use super::error::partial;
use crate::authenticated::EvenSuspended;
use crate::error::ApiError;
use crate::services::Services;

/// For how long a request waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(25);

/// Has a request wait until all members of its room are known.
pub(crate) async fn once_whole(
    State(services): State<Services>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let room_id = params.iter().find(|(name, _)| name.starts_with("room_id"));
    let room_id = room_id.and_then(|(_, value)| RoomId::parse(value).ok());
    let Some(room_id) = room_id.filter(|_| !is_answered_at_once(&request, &params)) else {
        return next.run(request).await;
    };
    let (mut parts, body) = request.into_parts();
    match wait(&services, &room_id, &mut parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => error.into_response(),
    }
}

/// Waits, if the room is one that makes people wait, for those who are or were in it. Others learn nothing by how long they wait.
async fn wait(services: &Services, room_id: &RoomId, parts: &mut Parts) -> Result<(), ApiError> {
    if services.rooms.count_partial_now().await? == 0 {
        return Ok(());
    }
    let reader = services.rooms.reader()?;
    let Some(room) = reader.room_number(room_id).await? else { return Ok(()) };
    if !reader.is_partial(room).await? {
        return Ok(());
    }
    // Who may not ask is told so by what is asked for.
    let Ok(EvenSuspended(user)) = EvenSuspended::from_request_parts(parts, services).await else {
        return Ok(());
    };
    let Actor { user, .. } = user.actor;
    if reader.membership(user, room).await?.is_none() {
        return Ok(());
    }
    drop(reader);
    match timeout(PATIENCE, services.rooms.whole(room_id)).await {
        Ok(whole) => whole.map_err(ApiError::from),
        Err(_) => Err(partial()),
    }
}

/// Whether a request needs no more members than are known from the beginning: the user's own, and who authorised it.
fn is_answered_at_once(request: &Request, params: &RawPathParams) -> bool {
    let Some(path) = request.extensions().get::<MatchedPath>() else { return false };
    // Backups of keys are by room, and not about it.
    if path.as_str().contains("/room_keys/") {
        return true;
    }
    let what = path.as_str().rsplit_once("{room_id}").map_or("", |(_, what)| what.trim_start_matches('/'));
    let first = what.split('/').next().unwrap_or_default();
    let is_about_member =
        || params.iter().any(|(name, value)| name == "event_type" && value == "m.room.member");
    match first {
        "send" | "redact" | "leave" | "forget" | "typing" | "receipt" | "read_markers" => true,
        // What is one's own.
        "tags" | "account_data" => true,
        // Members are all that is missing; who sets the membership of others is refused.
        "state" => what != "state" && (request.method() == Method::PUT || !is_about_member()),
        _ => false,
    }
}
