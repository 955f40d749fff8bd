//! [`GET /openid/userinfo`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1openiduserinfo).

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use freehold_accounts::Accounts;
use ruma_common::api::error::ErrorCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::endpoints::Endpoints;
use crate::error::ApiError;
use crate::input::Query;

/// The endpoints of this file.
pub(crate) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.open(Method::GET, "/_matrix/federation/v1/openid/userinfo", userinfo)
}

#[derive(Deserialize)]
struct Parameters {
    access_token: String,
}

/// Which user of the tenant made a token.
async fn userinfo(
    State(accounts): State<Accounts>,
    Connection { tenant, .. }: Connection,
    Query(Parameters { access_token }): Query<Parameters>,
) -> Result<Json<Value>, ApiError> {
    let user = accounts.openid_user(&tenant, &access_token).await.map_err(ApiError::internal)?;
    let unknown = || {
        let message = "the access token is unknown or has expired";
        ApiError::new(StatusCode::UNAUTHORIZED, ErrorCode::UnknownToken, message)
    };
    Ok(Json(json!({ "sub": user.ok_or_else(unknown)? })))
}
