//! [Tags of rooms](https://spec.matrix.org/v1.19/client-server-api/#room-tagging).

use axum::Json;
use axum::extract::State;
use freehold_accounts::Accounts;
use ruma_client_api::tag::{create_tag::v3 as create, delete_tag::v3 as delete, get_tags::v3 as get};
use serde_json::{Value, json};

use super::own::require_oneself;
use crate::authenticated::{Authenticated, EvenSuspended};
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Answers with the tags that the user gave a room, as clients set them.
pub(crate) async fn get_tags(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<get::Request>,
) -> Result<Json<Value>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    let tags = accounts.tags(user.actor.user, &request.room_id).await?;
    Ok(Json(json!({ "tags": tags })))
}

/// Gives a room a tag.
pub(crate) async fn create_tag(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<create::Request>,
) -> Result<Reply<create::Response>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    let place = (&*request.room_id, request.tag.as_str());
    accounts.set_tag(user.actor.user, place, json!(request.tag_info)).await?;
    Ok(Reply(create::Response::new()))
}

/// Takes a tag from a room.
pub(crate) async fn delete_tag(
    EvenSuspended(user): EvenSuspended,
    State(accounts): State<Accounts>,
    Body(request): Body<delete::Request>,
) -> Result<Reply<delete::Response>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    accounts.delete_tag(user.actor.user, (&request.room_id, &request.tag)).await?;
    Ok(Reply(delete::Response::new()))
}
