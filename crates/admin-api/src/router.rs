//! The commands over HTTP: `POST /_freehold/admin/v1/{command}` with the arguments as JSON.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::authority::{Authority, TenantUsers};
use crate::command::Command;
use crate::desk::Desk;
use crate::refusal::Refusal;

/// The path before the name of a command.
pub const PREFIX: &str = "/_freehold/admin/v1/";

const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Commands for those who show a token: an operator token, or the access token of a user of a tenant.
pub fn router(desk: Desk, users: Arc<dyn TenantUsers>) -> Router {
    let route = Router::new().route(&format!("{PREFIX}{{*command}}"), post(with_token));
    route.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state((desk, users))
}

/// Commands for whoever may open the socket in the data directory: the operator.
pub fn local_router(desk: Desk) -> Router {
    let route = Router::new().route(&format!("{PREFIX}{{*command}}"), post(without_token));
    route.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(desk)
}

async fn with_token(
    State((desk, users)): State<(Desk, Arc<dyn TenantUsers>)>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Answer>, Refusal> {
    let authority = authority(&desk, &*users, &headers).await?;
    perform(&desk, &name, &body, &authority).await
}

async fn without_token(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Answer>, Refusal> {
    perform(&desk, &name, &body, &Authority::Operator).await
}

async fn authority(desk: &Desk, users: &dyn TenantUsers, headers: &HeaderMap) -> Result<Authority, Refusal> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, token) = token.ok_or_else(|| Refusal::new("M_MISSING_TOKEN", "missing token"))?;
    let token = token.trim();
    if desk.tenancy().is_operator_token(token).await? {
        return Ok(Authority::Operator);
    }
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authority = users.authority_of_token(host, token).await;
    authority.ok_or_else(|| Refusal::new("M_UNKNOWN_TOKEN", "unknown token"))
}

async fn perform(
    desk: &Desk,
    name: &str,
    body: &[u8],
    authority: &Authority,
) -> Result<Json<Answer>, Refusal> {
    let arguments: Value = match body {
        [] => json!({}),
        body => serde_json::from_slice(body).map_err(|error| Refusal::new("M_NOT_JSON", error))?,
    };
    let command: Command = serde_json::from_value(json!({ "command": name, "arguments": arguments }))
        .map_err(|error| Refusal::new("M_BAD_JSON", error))?;
    desk.perform(command, authority).await.map(Json)
}
