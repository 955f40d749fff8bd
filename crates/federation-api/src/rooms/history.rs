//! What a server is told that lacks events
//! (<https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events>).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freehold_rooms::{MissingEvents, Rooms};
use freehold_store::Clock;
use ruma_common::{OwnedEventId, OwnedRoomId};
use serde::{Deserialize, Serialize};

use super::lists::{Event, Transaction, texts};
use crate::asker::Asker;
use crate::error::ApiError;
use crate::input::{Json as Body, Path, Query};
use crate::limits::Limits;

#[derive(Deserialize)]
pub(super) struct Before {
    #[serde(default)]
    v: Vec<OwnedEventId>,
    limit: usize,
}

/// [`GET /backfill`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid).
pub(super) async fn backfill(
    State(rooms): State<Rooms>,
    State(clock): State<Arc<dyn Clock>>,
    asker: Asker,
    Path(room_id): Path<OwnedRoomId>,
    Query(Before { v, limit }): Query<Before>,
) -> Result<Json<Transaction>, ApiError> {
    let view = rooms.reader()?.for_server(&asker.tenant, &asker.origin, &room_id).await?;
    let pdus = texts(view.backfill(&v, limit).await?)?;
    Ok(Json(Transaction::of(&asker.tenant, clock.now_ts(), pdus)))
}

#[derive(Deserialize)]
pub(super) struct Missing {
    earliest_events: Vec<OwnedEventId>,
    latest_events: Vec<OwnedEventId>,
    #[serde(default = "limit")]
    limit: usize,
    #[serde(default)]
    min_depth: i64,
}

/// > Defaults to 10.
fn limit() -> usize {
    10
}

#[derive(Serialize)]
pub(super) struct Events {
    events: Vec<Event>,
}

/// [`POST /get_missing_events`](https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid).
pub(super) async fn missing_events(
    State(rooms): State<Rooms>,
    State(limits): State<Limits>,
    asker: Asker,
    Path(room_id): Path<OwnedRoomId>,
    Body(missing): Body<Missing>,
) -> Result<Json<Events>, ApiError> {
    let view = rooms.reader()?.for_former_server(&asker.tenant, &asker.origin, &room_id).await?;
    let _begun = limits.heavy_answers().begin_for(&view, &asker.origin).await?;
    let Missing { earliest_events, latest_events, limit, min_depth } = missing;
    let wanted = MissingEvents { earliest_events, latest_events, limit, min_depth };
    Ok(Json(Events { events: texts(view.missing_events(&wanted).await?)? }))
}
