//! All routes of a listener: what belongs to the process, and behind the gate what belongs to tenants.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use freehold_admin_api as admin_api;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::between::UsersOfTenants;
use crate::config::{Api, Config};
use crate::gate::{self, Gate};
use crate::metrics::measure;
use crate::parts::Parts;
use crate::published;

/// The routes of the listeners that serve `apis`.
pub(crate) fn of(parts: &Parts, config: &Config, apis: &[Api]) -> Router {
    let mut routes = Router::new().route("/health", get(health));
    if apis == [Api::Metrics] {
        routes = routes.route("/metrics", get(metrics));
    } else if apis.contains(&Api::Metrics) {
        routes = routes.route("/metrics", get(metrics_with_token));
    }
    let mut routes = routes.with_state(parts.clone());
    if apis.contains(&Api::Admin) {
        let (accounts, tenancy) = (parts.accounts.clone(), parts.tenancy.clone());
        let users = Arc::new(UsersOfTenants { accounts, tenancy });
        routes = routes.merge(admin_api::router(parts.desk.clone(), users));
    }
    if let Some(hosted) = hosted(parts, apis) {
        let proxies = config.trusted_proxies.iter().map(|network| network.0).collect();
        let gate = Gate::new(parts.tenancy.clone(), config.localhost_tenants, proxies);
        let hosted = published::routes(parts.clone()).fallback_service(hosted);
        routes = routes.fallback_service(hosted.layer(from_fn_with_state(gate, gate::pass)));
    }
    routes.layer(from_fn_with_state(parts.metrics.clone(), measure))
}

/// What belongs to tenants.
fn hosted(parts: &Parts, apis: &[Api]) -> Option<Router> {
    let client = apis.contains(&Api::Client).then(|| parts.client_api());
    let federation = apis.contains(&Api::Federation).then(|| parts.federation_api());
    match (client, federation) {
        (Some(client), Some(federation)) => Some(client_or_federation(client, federation)),
        (one, other) => one.or(other),
    }
}

/// Each API says itself what it does not know, so the beginning of the path decides.
fn client_or_federation(client: Router, federation: Router) -> Router {
    let of_servers = |path: &str| FEDERATION_PATHS.iter().any(|beginning| path.starts_with(beginning));
    Router::new().fallback(move |request: Request| {
        let chosen = if of_servers(request.uri().path()) { federation.clone() } else { client.clone() };
        chosen.oneshot(request)
    })
}

/// Where the paths of the server-server API begin.
const FEDERATION_PATHS: [&str; 3] = ["/_matrix/federation/", "/_matrix/key/", "/_matrix/policy/"];

/// The routes of the socket in the data directory: commands and metrics without a token.
pub(crate) fn of_admin_socket(parts: &Parts) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(parts.clone())
        .merge(admin_api::local_router(parts.desk.clone()))
}

/// That the server runs and its store can be read.
async fn health(State(parts): State<Parts>) -> (StatusCode, Json<Value>) {
    match parts.tenancy.has_operator_token().await {
        Ok(_) => (StatusCode::OK, Json(json!({ "status": "ok" }))),
        Err(error) => {
            tracing::error!(%error, "the store cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "the store cannot be read" })))
        }
    }
}

async fn metrics(State(parts): State<Parts>) -> Response {
    let partial_rooms = parts.rooms.count_partial_now().await.unwrap_or(0);
    let text = parts.metrics.text(&parts.tenancy, &parts.memory, partial_rooms);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn metrics_with_token(State(parts): State<Parts>, headers: HeaderMap) -> Response {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header.strip_prefix("Bearer ").unwrap_or_default().trim();
    match parts.tenancy.is_operator_token(token).await {
        Ok(true) => metrics(State(parts)).await,
        Ok(false) => StatusCode::UNAUTHORIZED.into_response(),
        Err(error) => {
            tracing::error!(%error, "a token cannot be looked up");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
