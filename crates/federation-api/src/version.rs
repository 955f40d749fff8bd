//! [`GET /version`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1version).

use axum::Json;
use axum::http::Method;
use serde_json::{Value, json};

use crate::endpoints::Endpoints;

/// The endpoints of this file.
pub(crate) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.open(Method::GET, "/_matrix/federation/v1/version", version)
}

/// The software; the same for every tenant.
async fn version() -> Json<Value> {
    Json(json!({ "server": { "name": "Freehold", "version": env!("CARGO_PKG_VERSION") } }))
}
