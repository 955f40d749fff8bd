//! [`GET /keys/changes`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3keyschanges).

use axum::extract::State;
use freehold_encryption::Encryption;
use freehold_sync::{InvalidToken, SyncToken};
use ruma_client_api::keys::get_key_changes::v3::{Request, Response};
use ruma_common::api::error::ErrorCode;

use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Answers with the users whose keys changed since a sync. `to` is a hint, and everything up to now is told.
pub(crate) async fn key_changes(
    State(encryption): State<Encryption>,
    Authenticated { actor, .. }: Authenticated,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let since = token("from", &request.from)?;
    token("to", &request.to)?;
    let changes = encryption.device_list_changes_until_now(&actor, since.position).await?;
    Ok(Reply(Response::new(changes.changed, changes.left)))
}

fn token(name: &str, text: &str) -> Result<SyncToken, ApiError> {
    text.parse()
        .map_err(|error: InvalidToken| ApiError::new(ErrorCode::InvalidParam, format!("`{name}` is {error}")))
}
