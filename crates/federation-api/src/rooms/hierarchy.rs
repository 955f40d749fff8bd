//! [Spaces](https://spec.matrix.org/v1.19/server-server-api/#spaces).

use axum::Json;
use axum::extract::State;
use freehold_rooms::{Children, Rooms};
use ruma_common::OwnedRoomId;
use serde::Deserialize;
use serde_json::Value;

use crate::asker::Asker;
use crate::error::ApiError;
use crate::input::{Path, Query};

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    suggested_only: bool,
}

/// [`GET /hierarchy`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid). A room that the server
/// could not come into is as unknown as one that the tenant is not in.
pub(super) async fn hierarchy(
    State(rooms): State<Rooms>,
    asker: Asker,
    Path(room_id): Path<OwnedRoomId>,
    Query(Wanted { suggested_only }): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    let children = if suggested_only { Children::Suggested } else { Children::All };
    let asked = (&asker.tenant, &*asker.origin);
    let answer = rooms.reader()?.space_for_server(asked, &room_id, children).await?;
    let answer = answer.ok_or_else(|| ApiError::not_found("there is no such room"))?;
    Ok(Json(answer.to_json()))
}
