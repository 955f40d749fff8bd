//! [Invites](https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room) of users of the tenant into rooms of others.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use freehold_accounts::Accounts;
use freehold_rooms::{NotServed, Rooms, SentInvite};
use ruma_common::{OwnedEventId, OwnedRoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::error::refused;
use super::lists::{Event, texts};
use crate::asker::Asker;
use crate::error::ApiError;
use crate::input::{Json as Body, Path, from_json};

#[derive(Deserialize)]
pub(super) struct Invite {
    room_version: String,
    event: Box<RawValue>,
    #[serde(default)]
    invite_room_state: Vec<Box<RawValue>>,
}

/// Version 2.
pub(super) async fn invite(
    State(rooms): State<Rooms>,
    State(accounts): State<Accounts>,
    asker: Asker,
    Path(place): Path<(OwnedRoomId, OwnedEventId)>,
    Body(Invite { room_version, event, invite_room_state }): Body<Invite>,
) -> Result<Json<Value>, ApiError> {
    let state: Vec<String> = invite_room_state.iter().map(|event| event.get().to_owned()).collect();
    let event = take((&rooms, &accounts), &asker, &place, (&room_version, event.get(), &state)).await?;
    Ok(Json(json!({ "event": event })))
}

/// What of an event in version 1 is beside it.
#[derive(Default, Deserialize)]
struct Beside {
    #[serde(default)]
    unsigned: Unsigned,
}

#[derive(Default, Deserialize)]
struct Unsigned {
    #[serde(default)]
    invite_room_state: Vec<Box<RawValue>>,
}

/// Version 1, in which the body is the event. It is for rooms of the versions 1 and 2.
pub(super) async fn invite_v1(
    State(rooms): State<Rooms>,
    State(accounts): State<Accounts>,
    asker: Asker,
    Path(place): Path<(OwnedRoomId, OwnedEventId)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let event: &RawValue = from_json(&body)?;
    let Beside { unsigned } = from_json(&body)?;
    let state: Vec<String> = unsigned.invite_room_state.iter().map(|event| event.get().to_owned()).collect();
    let event = take((&rooms, &accounts), &asker, &place, ("1", event.get(), &state)).await?;
    Ok(Json(json!([200, { "event": event }])))
}

/// Who is invited.
#[derive(Deserialize)]
struct Invitee {
    state_key: Option<String>,
}

/// The event with the signature of the tenant. Nothing is kept for users that there are not: anybody could invent them.
async fn take(
    (rooms, accounts): (&Rooms, &Accounts),
    asker: &Asker,
    (room_id, event_id): &(OwnedRoomId, OwnedEventId),
    (room_version, event, room_state): (&str, &str, &[String]),
) -> Result<Event, ApiError> {
    let Invitee { state_key: invitee } = from_json(event.as_bytes())?;
    let invitee = invitee.and_then(|invitee| UserId::parse(invitee).ok());
    if let Some(invitee) = invitee.filter(|invitee| asker.tenant.owns(invitee))
        && !accounts.exists(&invitee).await?
    {
        return Err(ApiError::forbidden("there is no such user"));
    }
    let origin = &asker.origin;
    let sent = SentInvite { origin, room_id, event_id, room_version, event: event.as_bytes(), room_state };
    let signed = rooms.take_invite(&asker.tenant, sent).await.map_err(|error: NotServed| refused(error))?;
    texts(vec![signed])?.pop().ok_or_else(|| ApiError::not_found("there is no event"))
}
