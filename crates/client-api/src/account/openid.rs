//! [OpenID tokens](https://spec.matrix.org/v1.19/client-server-api/#openid).

use std::time::Duration;

use axum::extract::State;
use freehold_accounts::Accounts;
use ruma_client_api::account::request_openid_token::v3::{Request, Response};
use ruma_common::authentication::TokenType;

use super::own::require_oneself;
use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// Makes a token with which a third party can ask who the user is.
pub(crate) async fn request_openid_token(
    user: Authenticated,
    State(accounts): State<Accounts>,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    require_oneself(&user.actor, &request.user_id)?;
    let (token, expires_in_ms) = accounts.new_openid_token(&user.actor).await?;
    let server_name = user.actor.tenant.server_name().to_owned();
    let expires_in = Duration::from_millis(expires_in_ms);
    Ok(Reply(Response::new(token, TokenType::Bearer, server_name, expires_in)))
}
