//! All routes of a listener: what belongs to the process, and behind the gate what belongs to tenants.

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Json, Router};
use freehold_admin_api as admin_api;
use serde_json::{Value, json};

use crate::config::{Api, Config};
use crate::gate::{self, Gate};
use crate::parts::Parts;
use crate::published;

/// The routes of the listeners that serve `apis`.
pub(crate) fn of(parts: &Parts, config: &Config, apis: &[Api]) -> Router {
    let mut routes = Router::new().route("/health", get(health)).with_state(parts.clone());
    if apis.contains(&Api::Admin) {
        routes = routes.merge(admin_api::router(parts.desk.clone(), Arc::new(())));
    }
    if apis.contains(&Api::Client) {
        let gate = Gate::new(parts.tenancy.clone(), config.localhost_tenants, &config.trusted_proxies);
        let hosted = published::routes(parts.clone()).fallback_service(parts.client_api());
        routes = routes.fallback_service(hosted.layer(from_fn_with_state(gate, gate::pass)));
    }
    routes
}

/// The routes of the socket in the data directory: commands without a token.
pub(crate) fn of_admin_socket(parts: &Parts) -> Router {
    Router::new()
        .route("/health", get(health))
        .with_state(parts.clone())
        .merge(admin_api::local_router(parts.desk.clone()))
}

/// That the server runs and its store can be read.
async fn health(
    axum::extract::State(parts): axum::extract::State<Parts>,
) -> (axum::http::StatusCode, Json<Value>) {
    use axum::http::StatusCode;
    match parts.tenancy.has_operator_token().await {
        Ok(_) => (StatusCode::OK, Json(json!({ "status": "ok" }))),
        Err(error) => {
            tracing::error!(%error, "the store cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "the store cannot be read" })))
        }
    }
}
