//! States and auth chains: as long as rooms are, so they are sent piece by piece, and a few are put together at a time. Whoever may
//! not ask is refused before.

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use freehold_rooms::Rooms;
use ruma_common::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;

use super::lists::{Form, Lists};
use crate::asker::Asker;
use crate::error::ApiError;
use crate::input::{Path, Query};
use crate::limits::Limits;

#[derive(Deserialize)]
pub(super) struct At {
    event_id: OwnedEventId,
}

/// [`GET /state`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1stateroomid).
pub(super) async fn state(
    State(rooms): State<Rooms>,
    State(limits): State<Limits>,
    asker: Asker,
    Path(room_id): Path<OwnedRoomId>,
    Query(At { event_id }): Query<At>,
) -> Result<Response<Body>, ApiError> {
    let view = rooms.reader()?.for_former_server(&asker.tenant, &asker.origin, &room_id).await?;
    let _begun = limits.heavy_answers().begin(&asker.origin).await?;
    let state = view.state_before(&event_id).await?;
    let lists = vec![("auth_chain", state.auth_chain), ("pdus", state.pdus)];
    Ok(Lists::new(view, Form::Events, lists).into_response())
}

/// [`GET /state_ids`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1state_idsroomid).
pub(super) async fn state_ids(
    State(rooms): State<Rooms>,
    State(limits): State<Limits>,
    asker: Asker,
    Path(room_id): Path<OwnedRoomId>,
    Query(At { event_id }): Query<At>,
) -> Result<Response<Body>, ApiError> {
    let view = rooms.reader()?.for_former_server(&asker.tenant, &asker.origin, &room_id).await?;
    let _begun = limits.heavy_answers().begin(&asker.origin).await?;
    let state = view.state_before(&event_id).await?;
    let lists = vec![("auth_chain_ids", state.auth_chain), ("pdu_ids", state.pdus)];
    Ok(Lists::new(view, Form::Ids, lists).into_response())
}

/// [`GET /event_auth`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1event_authroomideventid).
pub(super) async fn event_auth(
    State(rooms): State<Rooms>,
    State(limits): State<Limits>,
    asker: Asker,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
) -> Result<Response<Body>, ApiError> {
    let view = rooms.reader()?.for_former_server(&asker.tenant, &asker.origin, &room_id).await?;
    let _begun = limits.heavy_answers().begin(&asker.origin).await?;
    let chain = view.auth_chain(&event_id).await?;
    Ok(Lists::new(view, Form::Events, vec![("auth_chain", chain)]).into_response())
}
