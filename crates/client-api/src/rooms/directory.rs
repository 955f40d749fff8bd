//! The [published room directory](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory) of a tenant.

use std::sync::Arc;

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

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::in_room;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::other_directories::OtherDirectories;
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

/// Which directory, and which part of it.
struct Asked<'a> {
    tenant: &'a Tenant,
    server: Option<&'a ServerName>,
    filter: DirectoryFilter,
    since: Option<&'a str>,
    limit: Option<UInt>,
}

/// `GET /publicRooms`. For who is not logged in no other server is asked.
pub(crate) async fn public_rooms(
    State(rooms): State<Rooms>,
    State(others): State<Arc<dyn OtherDirectories>>,
    TenantOfHost(tenant): TenantOfHost,
    user: Result<Authenticated, ApiError>,
    Body(request): Body<get_public_rooms::v3::Request>,
) -> Result<Reply<get_public_rooms::v3::Response>, ApiError> {
    let server = request.server.as_deref().filter(|server| *server != tenant.server_name());
    if server.is_some() {
        user?;
    }
    let (since, limit) = (request.since.as_deref(), request.limit);
    let asked = Asked { tenant: &tenant, server, filter: DirectoryFilter::default(), since, limit };
    let page = asked.answer(&rooms, &*others).await?;
    response!(get_public_rooms::v3::Response::new(Vec::new()), page)
}

/// `POST /publicRooms`.
pub(crate) async fn public_rooms_filtered(
    State(rooms): State<Rooms>,
    State(others): State<Arc<dyn OtherDirectories>>,
    user: Authenticated,
    Body(request): Body<get_public_rooms_filtered::v3::Request>,
) -> Result<Reply<get_public_rooms_filtered::v3::Response>, ApiError> {
    let tenant = &user.actor.tenant;
    if let RoomNetwork::ThirdParty(id) = request.room_network {
        let message = format!("`third_party_instance_id`: there is no network `{id}`");
        return Err(ApiError::new(ErrorCode::InvalidParam, message));
    }
    let server = request.server.as_deref().filter(|server| *server != tenant.server_name());
    let (since, limit) = (request.since.as_deref(), request.limit);
    let asked = Asked { tenant, server, filter: wanted(request.filter), since, limit };
    let page = asked.answer(&rooms, &*others).await?;
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

impl Asked<'_> {
    async fn answer(&self, rooms: &Rooms, others: &dyn OtherDirectories) -> Result<Page, ApiError> {
        let part = (self.since, self.limit);
        let Some(server) = self.server else {
            return page(rooms, self.tenant, &self.filter, part).await;
        };
        if let Some(neighbour) = others.neighbour(self.tenant, server) {
            return page(rooms, &neighbour, &self.filter, part).await;
        }
        let unreachable =
            || ApiError::new(ErrorCode::ConnectionFailed, format!("`server`: {server} cannot be reached"));
        let answer = others.public_rooms(self.tenant, server, self.body()).await.ok_or_else(unreachable)?;
        let listed: Listing = serde_json::from_str(&answer).map_err(|_| unreachable())?;
        Ok(Page {
            total: listed.total_room_count_estimate.unwrap_or_else(|| count(listed.chunk.len() as u64)),
            chunk: listed.chunk,
            next_batch: listed.next_batch,
            prev_batch: listed.prev_batch,
        })
    }

    /// The body of the request to another server.
    fn body(&self) -> String {
        let mut body = Map::new();
        if let Some(limit) = self.limit {
            body.insert("limit".to_owned(), u64::from(limit).min(LIMIT_MAX as u64).into());
        }
        if let Some(since) = self.since {
            body.insert("since".to_owned(), since.into());
        }
        let mut filter = Map::new();
        if let Some(term) = &self.filter.search_term {
            filter.insert("generic_search_term".to_owned(), term.as_str().into());
        }
        if !self.filter.room_types.is_empty() {
            filter.insert("room_types".to_owned(), self.filter.room_types.clone().into());
        }
        if !filter.is_empty() {
            body.insert("filter".to_owned(), filter.into());
        }
        Value::from(body).to_string()
    }
}

/// A part of another server's directory.
#[derive(Deserialize)]
struct Listing {
    chunk: Vec<PublicRoomsChunk>,
    next_batch: Option<String>,
    prev_batch: Option<String>,
    total_room_count_estimate: Option<UInt>,
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
