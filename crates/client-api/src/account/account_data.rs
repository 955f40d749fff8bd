//! [Account data](https://spec.matrix.org/v1.19/client-server-api/#client-config).

use axum::extract::State;
use freehold_accounts::Accounts;
use ruma_client_api::config::{
    get_global_account_data::v3 as get_global, get_room_account_data::v3 as get_room,
    set_global_account_data::v3 as set_global, set_room_account_data::v3 as set_room,
};
use ruma_common::serde::Raw;

use super::own::require_oneself;
use crate::authenticated::{Authenticated, EvenSuspended};
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Answers with a piece of account data of the user.
pub(crate) async fn get_global_account_data(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<get_global::Request>,
) -> Result<Reply<get_global::Response>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    let place = (None, &*request.event_type.to_string());
    let content = accounts.account_data(user.actor.user, place).await?;
    Ok(Reply(get_global::Response::new(raw(content)?)))
}

/// Sets a piece of account data of the user.
pub(crate) async fn set_global_account_data(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<set_global::Request>,
) -> Result<Reply<set_global::Response>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    let place = (None, &*request.event_type.to_string());
    accounts.set_account_data(user.actor.user, place, request.data.json().get()).await?;
    Ok(Reply(set_global::Response::new()))
}

/// Answers with a piece of account data of the user about a room.
pub(crate) async fn get_room_account_data(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<get_room::Request>,
) -> Result<Reply<get_room::Response>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    let place = (Some(&*request.room_id), &*request.event_type.to_string());
    let content = accounts.account_data(user.actor.user, place).await?;
    Ok(Reply(get_room::Response::new(raw(content)?)))
}

/// Sets a piece of account data of the user about a room.
pub(crate) async fn set_room_account_data(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<set_room::Request>,
) -> Result<Reply<set_room::Response>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    let place = (Some(&*request.room_id), &*request.event_type.to_string());
    accounts.set_account_data(user.actor.user, place, request.data.json().get()).await?;
    Ok(Reply(set_room::Response::new()))
}

fn raw<T>(content: String) -> Result<Raw<T>, ApiError> {
    Raw::from_json_string(content).map_err(ApiError::internal)
}
