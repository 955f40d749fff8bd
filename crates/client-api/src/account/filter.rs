//! [Filters](https://spec.matrix.org/v1.19/client-server-api/#filtering).

use axum::extract::State;
use freehold_accounts::Accounts;
use ruma_client_api::filter::{create_filter::v3 as create, get_filter::v3 as get};
use ruma_common::api::error::ErrorCode;
use serde_json::json;

use super::own::require_oneself;
use crate::authenticated::{Authenticated, EvenSuspended};
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Keeps a filter.
pub(crate) async fn create_filter(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<create::Request>,
) -> Result<Reply<create::Response>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    let id = accounts.new_filter(user.actor.user, &json!(request.filter).to_string()).await?;
    Ok(Reply(create::Response::new(id)))
}

/// Answers with a filter that was kept.
pub(crate) async fn get_filter(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<get::Request>,
) -> Result<Reply<get::Response>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    let unknown = || ApiError::new(ErrorCode::NotFound, "unknown filter");
    let filter = accounts.filter(user.actor.user, &request.filter_id).await?.ok_or_else(unknown)?;
    Ok(Reply(get::Response::new(serde_json::from_str(&filter).map_err(ApiError::internal)?)))
}
