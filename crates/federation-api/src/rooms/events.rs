//! Single events.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freehold_rooms::Rooms;
use freehold_store::{Clock, Order};
use ruma_common::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::without_room;
use super::lists::{Transaction, texts};
use crate::asker::Asker;
use crate::error::ApiError;
use crate::input::{Path, Query};
use crate::limits::Limits;

/// [`GET /event/{eventId}`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1eventeventid).
pub(super) async fn event(
    State(rooms): State<Rooms>,
    State(clock): State<Arc<dyn Clock>>,
    State(limits): State<Limits>,
    asker: Asker,
    Path(event_id): Path<OwnedEventId>,
) -> Result<Json<Transaction>, ApiError> {
    let view = rooms.reader()?.for_server_asking(&asker.tenant, &asker.origin, &event_id).await;
    let view = view.map_err(without_room)?;
    let _begun = limits.heavy_answers().begin_for(&view, &asker.origin).await?;
    let pdus = texts(vec![view.event(&event_id).await.map_err(without_room)?])?;
    Ok(Json(Transaction::of(&asker.tenant, clock.now_ts(), pdus)))
}

#[derive(Deserialize)]
pub(super) struct Moment {
    ts: i64,
    dir: Direction,
}

#[derive(Deserialize)]
enum Direction {
    #[serde(rename = "f")]
    Forwards,
    #[serde(rename = "b")]
    Backwards,
}

/// [`GET /timestamp_to_event`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid).
pub(super) async fn by_timestamp(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(room_id): Path<OwnedRoomId>,
    Query(Moment { ts, dir }): Query<Moment>,
) -> Result<Json<Value>, ApiError> {
    let view = rooms.reader()?.for_server(&asker.tenant, &asker.origin, &room_id).await?;
    let order = match dir {
        Direction::Forwards => Order::Ascending,
        Direction::Backwards => Order::Descending,
    };
    let nearest = view.timestamp_to_event(ts, order).await?;
    let nearest = nearest.ok_or_else(|| ApiError::not_found("there is no event near that time"))?;
    Ok(Json(json!({ "event_id": nearest.event_id, "origin_server_ts": nearest.origin_server_ts })))
}
