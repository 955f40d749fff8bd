//! [Room aliases](https://spec.matrix.org/v1.19/client-server-api/#room-aliases).

use axum::extract::State;
use axum::http::StatusCode;
use freehold_rooms::{ActionError, Rooms};
use ruma_client_api::alias::{create_alias, delete_alias, get_alias};
use ruma_client_api::room::aliases;
use ruma_common::api::error::ErrorCode;

use super::error::in_room;
use super::view::View;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;
use crate::tenant_of_host::TenantOfHost;

/// How many servers are named through which a room can be joined.
const SERVERS_MAX: usize = 20;

/// `GET /directory/room/{roomAlias}`.
pub(crate) async fn resolve(
    State(rooms): State<Rooms>,
    TenantOfHost(tenant): TenantOfHost,
    Body(request): Body<get_alias::v3::Request>,
) -> Result<Reply<get_alias::v3::Response>, ApiError> {
    let found = rooms.find_alias(&tenant, &request.room_alias).await?;
    let mut servers = found.servers;
    servers.truncate(SERVERS_MAX);
    Ok(Reply(get_alias::v3::Response::new(found.room_id, servers)))
}

/// `PUT /directory/room/{roomAlias}`.
pub(crate) async fn create(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<create_alias::v3::Request>,
) -> Result<Reply<create_alias::v3::Response>, ApiError> {
    match rooms.create_alias(&user.actor, &request.room_alias, &request.room_id).await {
        Ok(()) => Ok(Reply(create_alias::v3::Response::new())),
        // "409: A room alias with that name already exists."
        Err(error @ ActionError::AliasTaken(_)) => {
            Err(ApiError::new(ErrorCode::Unknown, error).with_status(StatusCode::CONFLICT))
        }
        Err(error @ ActionError::ForeignAlias(_)) => Err(error.into()),
        Err(error) => Err(in_room(&rooms, &user.actor, &request.room_id, error).await),
    }
}

/// `DELETE /directory/room/{roomAlias}`.
pub(crate) async fn delete(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<delete_alias::v3::Request>,
) -> Result<Reply<delete_alias::v3::Response>, ApiError> {
    rooms.delete_alias(&user.actor, &request.room_alias).await?;
    Ok(Reply(delete_alias::v3::Response::new()))
}

/// `GET /rooms/{roomId}/aliases`.
pub(crate) async fn of_room(
    State(rooms): State<Rooms>,
    user: Authenticated,
    Body(request): Body<aliases::v3::Request>,
) -> Result<Reply<aliases::v3::Response>, ApiError> {
    let view = View::open_joined(&rooms, &user, request.room_id).await?;
    let aliases = view.reader.aliases(view.room, user.actor.tenant.number()).await?;
    Ok(Reply(aliases::v3::Response::new(aliases)))
}
