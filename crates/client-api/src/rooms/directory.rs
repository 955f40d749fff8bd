//! The [published room directory](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory) of a tenant.

use axum::extract::State;
use freehold_rooms::{DirectoryFilter, RoomSummary, Rooms, Visibility};
use freehold_store::Tenant;
use js_int::UInt;
use ruma_client_api::directory::{
    get_public_rooms, get_public_rooms_filtered, get_room_visibility, set_room_visibility,
};
use ruma_client_api::room::Visibility as Listed;
use ruma_common::ServerName;
use ruma_common::api::error::ErrorCode;
use ruma_common::directory::{Filter, PublicRoomsChunk, PublicRoomsChunkInit, RoomNetwork, RoomTypeFilter};

use super::error::in_room;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;
use crate::tenant_of_host::TenantOfHost;

/// How many rooms an answer lists at most, and when the client does not say.
const LIMIT_MAX: usize = 500;

/// A part of a directory.
struct Page {
    chunk: Vec<PublicRoomsChunk>,
    next_batch: Option<String>,
    prev_batch: Option<String>,
    total: UInt,
}

/// Puts a part of a directory into the response of one of the two endpoints.
macro_rules! response {
    ($response:expr, $page:expr) => {{
        let Page { chunk, next_batch, prev_batch, total } = $page;
        let mut response = $response;
        response.chunk = chunk;
        response.next_batch = next_batch;
        response.prev_batch = prev_batch;
        response.total_room_count_estimate = Some(total);
        Ok(Reply(response))
    }};
}

/// `GET /publicRooms`.
pub(crate) async fn public_rooms(
    State(rooms): State<Rooms>,
    TenantOfHost(tenant): TenantOfHost,
    Body(request): Body<get_public_rooms::v3::Request>,
) -> Result<Reply<get_public_rooms::v3::Response>, ApiError> {
    check_server(&tenant, request.server.as_deref())?;
    let filter = DirectoryFilter::default();
    let page = page(&rooms, &tenant, &filter, (request.since.as_deref(), request.limit)).await?;
    response!(get_public_rooms::v3::Response::new(Vec::new()), page)
}

/// `POST /publicRooms`.
pub(crate) async fn public_rooms_filtered(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<get_public_rooms_filtered::v3::Request>,
) -> Result<Reply<get_public_rooms_filtered::v3::Response>, ApiError> {
    let tenant = &user.actor.tenant;
    check_server(tenant, request.server.as_deref())?;
    if let RoomNetwork::ThirdParty(id) = request.room_network {
        let message = format!("`third_party_instance_id`: there is no network `{id}`");
        return Err(ApiError::new(ErrorCode::InvalidParam, message));
    }
    let filter = wanted(request.filter);
    let page = page(&rooms, tenant, &filter, (request.since.as_deref(), request.limit)).await?;
    response!(get_public_rooms_filtered::v3::Response::new(), page)
}

/// `GET /directory/list/room/{roomId}`. Rooms that the tenant is not in and does not list are unknown to it.
pub(crate) async fn visibility(
    State(rooms): State<Rooms>,
    TenantOfHost(tenant): TenantOfHost,
    Body(request): Body<get_room_visibility::v3::Request>,
) -> Result<Reply<get_room_visibility::v3::Response>, ApiError> {
    let unknown = || ApiError::new(ErrorCode::NotFound, "there is no such room");
    let reader = rooms.reader()?;
    let room = reader.room_number(&request.room_id).await?.ok_or_else(unknown)?;
    let listed = match reader.directory_visibility(tenant.number(), room).await? {
        Visibility::Public => Listed::Public,
        Visibility::Private if reader.is_in_room(tenant.number(), room).await? => Listed::Private,
        Visibility::Private => return Err(unknown()),
    };
    Ok(Reply(get_room_visibility::v3::Response::new(listed)))
}

/// `PUT /directory/list/room/{roomId}`.
pub(crate) async fn set_visibility(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<set_room_visibility::v3::Request>,
) -> Result<Reply<set_room_visibility::v3::Response>, ApiError> {
    let visibility = match request.visibility {
        Listed::Public => Visibility::Public,
        Listed::Private => Visibility::Private,
        other => {
            let message = format!("`visibility`: there is none called `{}`", other.as_str());
            return Err(ApiError::new(ErrorCode::InvalidParam, message));
        }
    };
    match rooms.set_directory_visibility(&user.actor, &request.room_id, visibility).await {
        Ok(()) => Ok(Reply(set_room_visibility::v3::Response::new())),
        Err(error) => Err(in_room(&rooms, &user.actor, &request.room_id, error).await),
    }
}

/// Directories of others are asked for over the federation, also those of neighbours in this process, so that nobody
/// can tell neighbours from others.
fn check_server(tenant: &Tenant, server: Option<&ServerName>) -> Result<(), ApiError> {
    match server {
        Some(server) if server != tenant.server_name() => {
            Err(ApiError::new(ErrorCode::ConnectionFailed, format!("`server`: {server} cannot be reached")))
        }
        _ => Ok(()),
    }
}

fn wanted(filter: Filter) -> DirectoryFilter {
    let type_of = |wanted: &RoomTypeFilter| wanted.as_str().map(str::to_owned);
    DirectoryFilter {
        search_term: filter.generic_search_term,
        room_types: filter.room_types.iter().map(type_of).collect(),
    }
}

/// A part of the directory: tokens are how many rooms come before it.
async fn page(
    rooms: &Rooms,
    tenant: &Tenant,
    filter: &DirectoryFilter,
    (since, limit): (Option<&str>, Option<UInt>),
) -> Result<Page, ApiError> {
    let bad = || ApiError::new(ErrorCode::InvalidParam, "`since`: not a token of this server");
    let start: usize = since.map_or(Ok(0), |since| since.parse().map_err(|_| bad()))?;
    let limit = limit.map_or(LIMIT_MAX, |limit| usize::try_from(u64::from(limit)).unwrap_or(LIMIT_MAX));
    let limit = limit.min(LIMIT_MAX);
    let listed = rooms.reader()?.public_rooms(tenant, filter).await?;
    let end = start.saturating_add(limit);
    Ok(Page {
        total: count(listed.len() as u64),
        next_batch: (end < listed.len()).then(|| end.to_string()),
        prev_batch: (start > 0).then(|| start.saturating_sub(limit).to_string()),
        chunk: listed.into_iter().skip(start).take(limit).map(shown).collect(),
    })
}

fn shown(room: RoomSummary) -> PublicRoomsChunk {
    let mut chunk = PublicRoomsChunk::from(PublicRoomsChunkInit {
        num_joined_members: count(room.num_joined_members),
        room_id: room.room_id,
        world_readable: room.world_readable,
        guest_can_join: room.guest_can_join,
    });
    chunk.name = room.name;
    chunk.topic = room.topic;
    chunk.avatar_url = room.avatar_url.map(Into::into);
    chunk.canonical_alias = room.canonical_alias.and_then(|alias| alias.try_into().ok());
    chunk.join_rule = room.join_rule.as_str().into();
    chunk.room_type = room.room_type.map(Into::into);
    chunk
}

fn count(number: u64) -> UInt {
    UInt::try_from(number).unwrap_or(UInt::MAX)
}
