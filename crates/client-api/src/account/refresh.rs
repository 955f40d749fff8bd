//! [`POST /refresh`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh).

use std::time::Duration;

use axum::extract::State;
use freehold_accounts::Accounts;
use ruma_client_api::session::refresh_token::v3::{Request, Response};

use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;
use crate::tenant_of_host::TenantOfHost;

/// Exchanges a refresh token for new tokens.
pub(crate) async fn refresh(
    TenantOfHost(tenant): TenantOfHost,
    State(accounts): State<Accounts>,
    Body(request): Body<Request>,
) -> Result<Reply<Response>, ApiError> {
    let tokens = accounts.refresh(&tenant, &request.refresh_token).await?;
    let mut response = Response::new(tokens.access_token);
    response.refresh_token = tokens.refresh_token;
    response.expires_in_ms = tokens.expires_in_ms.map(Duration::from_millis);
    Ok(Reply(response))
}
