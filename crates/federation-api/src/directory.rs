//! What a tenant lists: [aliases](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory) and its
//! [published rooms](https://spec.matrix.org/v1.19/server-server-api/#public-room-directory).

use axum::Json;
use axum::extract::State;
use freehold_rooms::{ActionError, DirectoryFilter, RoomSummary, Rooms, Unreadable};
use freehold_store::Tenant;
use ruma_common::{OwnedRoomAliasId, OwnedRoomId, OwnedServerName};
use serde::{Deserialize, Serialize};

use crate::asker::Asker;
use crate::endpoints::Endpoints;
use crate::error::ApiError;
use crate::input::{Json as Body, Query};

/// How many rooms an answer lists at most, and when the other side does not say.
const LIMIT_MAX: usize = 500;

/// The endpoints of this file.
pub(crate) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get("/_matrix/federation/v1/query/directory", resolve)
        .get("/_matrix/federation/v1/publicRooms", public_rooms)
        .post("/_matrix/federation/v1/publicRooms", public_rooms_filtered)
}

#[derive(Deserialize)]
struct Alias {
    room_alias: OwnedRoomAliasId,
}

#[derive(Serialize)]
struct Resolved {
    room_id: OwnedRoomId,
    servers: Vec<OwnedServerName>,
}

/// Where an alias of the tenant leads. Those of neighbours are as unknown here as those of strangers.
async fn resolve(
    State(rooms): State<Rooms>,
    asker: Asker,
    Query(Alias { room_alias }): Query<Alias>,
) -> Result<Json<Resolved>, ApiError> {
    let unknown = || ApiError::not_found("there is no such room alias");
    if room_alias.server_name() != asker.tenant.server_name() {
        return Err(unknown());
    }
    match rooms.resolve_alias(&asker.tenant, &room_alias).await {
        Ok(room_id) => Ok(Json(Resolved { room_id, servers: vec![asker.tenant.server_name().to_owned()] })),
        Err(ActionError::UnknownAlias(_)) => Err(unknown()),
        Err(error) => Err(ApiError::internal(error)),
    }
}

/// Which part of the directory is wanted. There are no other networks, so what is said of them makes no difference.
#[derive(Deserialize)]
struct Wanted {
    limit: Option<usize>,
    since: Option<String>,
    filter: Option<Filter>,
}

#[derive(Deserialize)]
struct Filter {
    generic_search_term: Option<String>,
    room_types: Option<Vec<Option<String>>>,
}

/// A part of a directory.
#[derive(Serialize)]
struct Page {
    chunk: Vec<Listed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    total_room_count_estimate: usize,
}

/// A room of a directory.
#[derive(Serialize)]
struct Listed {
    room_id: OwnedRoomId,
    num_joined_members: u64,
    world_readable: bool,
    guest_can_join: bool,
    join_rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical_alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_type: Option<String>,
}

async fn public_rooms(
    State(rooms): State<Rooms>,
    asker: Asker,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page>, ApiError> {
    page(&rooms, &asker.tenant, wanted).await.map(Json)
}

async fn public_rooms_filtered(
    State(rooms): State<Rooms>,
    asker: Asker,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Page>, ApiError> {
    page(&rooms, &asker.tenant, wanted).await.map(Json)
}

/// A part of the directory of the tenant: tokens are how many rooms come before it.
async fn page(rooms: &Rooms, tenant: &Tenant, wanted: Wanted) -> Result<Page, ApiError> {
    let bad = || ApiError::invalid("`since`: not a token of this server");
    let start: usize = wanted.since.map_or(Ok(0), |since| since.parse().map_err(|_| bad()))?;
    // "Defaults to 0 (no limit)"
    let limit = wanted.limit.filter(|limit| *limit > 0).map_or(LIMIT_MAX, |limit| limit.min(LIMIT_MAX));
    let filter = wanted.filter.map_or_else(DirectoryFilter::default, |filter| DirectoryFilter {
        search_term: filter.generic_search_term,
        room_types: filter.room_types.unwrap_or_default(),
    });
    let listed = rooms.reader()?.public_rooms(tenant, &filter).await?;
    let end = start.saturating_add(limit);
    Ok(Page {
        total_room_count_estimate: listed.len(),
        next_batch: (end < listed.len()).then(|| end.to_string()),
        prev_batch: (start > 0).then(|| start.saturating_sub(limit).to_string()),
        chunk: listed.into_iter().skip(start).take(limit).map(shown).collect(),
    })
}

fn shown(room: RoomSummary) -> Listed {
    Listed {
        room_id: room.room_id,
        num_joined_members: room.num_joined_members,
        world_readable: room.world_readable,
        guest_can_join: room.guest_can_join,
        join_rule: room.join_rule,
        name: room.name,
        topic: room.topic,
        avatar_url: room.avatar_url,
        canonical_alias: room.canonical_alias,
        room_type: room.room_type,
    }
}

impl From<Unreadable> for ApiError {
    fn from(error: Unreadable) -> Self {
        ApiError::internal(error)
    }
}
