//! Users of other servers who come into rooms of the tenant, or go:
//! [joining](https://spec.matrix.org/v1.19/server-server-api/#joining-rooms),
//! [knocking](https://spec.matrix.org/v1.19/server-server-api/#knocking-upon-a-room),
//! [leaving](https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites).

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};
use freehold_rooms::{
    Accepted, AskedTemplate, JoinAnswer, Members, OwnStep, Rooms, SentMembership, Unreadable,
};
use futures_util::StreamExt as _;
use futures_util::stream::{once, try_unfold};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::not_served;
use super::lists::{Event, texts};
use crate::asker::Asker;
use crate::error::ApiError;
use crate::input::{Path, Query};

#[derive(Deserialize)]
pub(super) struct Versions {
    #[serde(default)]
    ver: Vec<String>,
}

/// A template of a membership event.
#[derive(Serialize)]
pub(super) struct Made {
    #[serde(skip_serializing_if = "Option::is_none")]
    room_version: Option<String>,
    event: Event,
}

/// `GET /make_join`.
pub(super) async fn make_join(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(who): Path<(OwnedRoomId, OwnedUserId)>,
    Query(versions): Query<Versions>,
) -> Result<Json<Made>, ApiError> {
    make(&rooms, &asker, (who, OwnStep::Join), Some(versions)).await
}

/// `GET /make_knock`.
pub(super) async fn make_knock(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(who): Path<(OwnedRoomId, OwnedUserId)>,
    Query(versions): Query<Versions>,
) -> Result<Json<Made>, ApiError> {
    make(&rooms, &asker, (who, OwnStep::Knock), Some(versions)).await
}

/// `GET /make_leave`.
pub(super) async fn make_leave(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(who): Path<(OwnedRoomId, OwnedUserId)>,
) -> Result<Json<Made>, ApiError> {
    make(&rooms, &asker, (who, OwnStep::Leave), None).await
}

async fn make(
    rooms: &Rooms,
    asker: &Asker,
    ((room_id, user_id), step): ((OwnedRoomId, OwnedUserId), OwnStep),
    versions: Option<Versions>,
) -> Result<Json<Made>, ApiError> {
    // > The room versions the sending server has support for. Defaults to [1].
    let versions = versions.map(|Versions { ver }| if ver.is_empty() { vec!["1".to_owned()] } else { ver });
    let (origin, room, user) = (&*asker.origin, &*room_id, &*user_id);
    let asked = AskedTemplate { origin, room_id: room, user_id: user, step, versions: versions.as_deref() };
    match rooms.template_for(&asker.tenant, asked).await {
        Ok(template) => {
            let event = texts(vec![template.event])?.pop();
            let event = event.ok_or_else(|| ApiError::not_found("there is no template"))?;
            Ok(Json(Made { room_version: template.room_version, event }))
        }
        Err(error) => Err(not_served(rooms, asker, room, error).await),
    }
}

#[derive(Deserialize)]
pub(super) struct Omit {
    #[serde(default)]
    omit_members: bool,
}

/// `PUT /send_join`, version 2.
pub(super) async fn send_join(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(place): Path<(OwnedRoomId, OwnedEventId)>,
    Query(Omit { omit_members }): Query<Omit>,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let members = if omit_members { Members::Few } else { Members::All };
    let answer = join_answer(&rooms, &asker, (&place, &body), members).await?;
    Ok(streamed(answer, ("", "")))
}

/// `PUT /send_join`, version 1.
pub(super) async fn send_join_v1(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(place): Path<(OwnedRoomId, OwnedEventId)>,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let answer = join_answer(&rooms, &asker, (&place, &body), Members::All).await?;
    Ok(streamed(answer, ("[200,", "]")))
}

/// `PUT /send_knock`.
pub(super) async fn send_knock(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(place): Path<(OwnedRoomId, OwnedEventId)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let accepted = accept(&rooms, &asker, (&place, &body), OwnStep::Knock).await?;
    let state = accepted.knock_state().await.map_err(ApiError::internal)?;
    Ok(Json(json!({ "knock_room_state": texts(state)? })))
}

/// `PUT /send_leave`, version 2.
pub(super) async fn send_leave(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(place): Path<(OwnedRoomId, OwnedEventId)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    accept(&rooms, &asker, (&place, &body), OwnStep::Leave).await?;
    Ok(Json(json!({})))
}

/// `PUT /send_leave`, version 1.
pub(super) async fn send_leave_v1(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(place): Path<(OwnedRoomId, OwnedEventId)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    accept(&rooms, &asker, (&place, &body), OwnStep::Leave).await?;
    Ok(Json(json!([200, {}])))
}

/// Where an event goes by the path of its request.
type Place = (OwnedRoomId, OwnedEventId);

async fn accept(
    rooms: &Rooms,
    asker: &Asker,
    ((room_id, event_id), event): (&Place, &[u8]),
    step: OwnStep,
) -> Result<Accepted, ApiError> {
    let sent = SentMembership { origin: &asker.origin, room_id, event_id, step, event };
    match rooms.accept_membership(&asker.tenant, sent).await {
        Ok(accepted) => Ok(accepted),
        Err(error) => Err(not_served(rooms, asker, room_id, error).await),
    }
}

async fn join_answer(
    rooms: &Rooms,
    asker: &Asker,
    (place, event): (&Place, &[u8]),
    members: Members,
) -> Result<JoinAnswer, ApiError> {
    let accepted = accept(rooms, asker, (place, event), OwnStep::Join).await?;
    accepted.join_answer(members).await.map_err(ApiError::internal)
}

/// The answer to a join, as it is read, between two texts.
fn streamed(answer: JoinAnswer, (before, after): (&'static str, &'static str)) -> Response<Body> {
    let chunks = try_unfold(answer, |mut answer| async move {
        let chunk = answer.chunk().await.inspect_err(|error| {
            tracing::error!(%error, "the answer to a join breaks off");
        })?;
        Ok::<_, Unreadable>(chunk.map(|chunk| (chunk, answer)))
    });
    let text = |text: &'static str| once(std::future::ready(Ok::<_, Unreadable>(text.to_owned())));
    let mut response = Response::new(Body::from_stream(text(before).chain(chunks).chain(text(after))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Exchanges a third-party invite
/// (<https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid>).
pub(super) async fn exchange_third_party_invite(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(room_id): Path<OwnedRoomId>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let body = std::str::from_utf8(&body).map_err(|_| ApiError::invalid("the body is not UTF-8"))?;
    // Read as JSON first, so that what is none is told so.
    let _: Value = crate::input::from_json(body.as_bytes())?;
    let exchanged = rooms.exchange_third_party_invite(&asker.tenant, (&asker.origin, &room_id), body).await;
    match exchanged {
        Ok(()) => Ok(Json(json!({}))),
        Err(error) => Err(not_served(&rooms, &asker, &room_id, error).await),
    }
}
