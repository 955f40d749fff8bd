//! What tenants publish at `/.well-known/matrix/*`.

use axum::extract::{Request, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN};
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use freehold_tenancy::{Control, Found, client_well_known, server_well_known, support_well_known};
use serde_json::{Value, json};

use crate::gate::host_of;
use crate::listen::Peer;
use crate::parts::Parts;

/// The routes, behind the gate.
pub(crate) fn routes(parts: Parts) -> Router {
    Router::new()
        .route("/.well-known/matrix/client", get(client).fallback(wrong_method))
        .route("/.well-known/matrix/server", get(server).fallback(wrong_method))
        .route("/.well-known/matrix/support", get(support).fallback(wrong_method))
        .with_state(parts)
}

async fn client(State(parts): State<Parts>, request: Request) -> Response {
    let Some(found) = found(&request) else { return not_found() };
    json_for_everybody(client_well_known(&base_url(&parts, &found, &request)))
}

async fn server(State(parts): State<Parts>, request: Request) -> Response {
    let Some(found) = found(&request) else { return not_found() };
    let delegated = match found.control {
        Control::Development => host_of(&request).unwrap_or_default(),
        Control::Proved | Control::Vouched => format!("{}:443", published_hostname(&parts, &found)),
    };
    server_well_known(found.tenant.server_name(), &delegated).map_or_else(not_found, json_for_everybody)
}

async fn support(State(parts): State<Parts>, request: Request) -> Response {
    let Some(found) = found(&request) else { return not_found() };
    match parts.tenancy.policy(&found.tenant).await {
        Ok(policy) => support_well_known(&policy).map_or_else(not_found, json_for_everybody),
        Err(error) => failed(&error),
    }
}

fn found(request: &Request) -> Option<Found> {
    request.extensions().get::<Found>().cloned()
}

/// Where clients reach the tenant: for one on this machine, as they reached it just now.
fn base_url(parts: &Parts, found: &Found, request: &Request) -> String {
    match found.control {
        Control::Development => {
            let peer = request.extensions().get::<Peer>();
            let scheme = peer.map_or("http", |peer| peer.listener.scheme());
            format!("{scheme}://{}", host_of(request).unwrap_or_default())
        }
        Control::Proved | Control::Vouched => format!("https://{}", published_hostname(parts, found)),
    }
}

fn published_hostname(parts: &Parts, found: &Found) -> String {
    let first = parts.tenancy.hostnames(&found.tenant).into_iter().next();
    first.unwrap_or_else(|| found.tenant.server_name().host().to_owned())
}

/// Browsers may ask whether they may ask; nothing else is done here.
async fn wrong_method(request: Request) -> Response {
    if *request.method() == Method::OPTIONS {
        let methods = (ACCESS_CONTROL_ALLOW_METHODS, "GET, OPTIONS");
        return (StatusCode::NO_CONTENT, EVERYBODY, [methods]).into_response();
    }
    let body = json!({ "errcode": "M_UNRECOGNIZED", "error": "unrecognized method for this path" });
    (StatusCode::METHOD_NOT_ALLOWED, EVERYBODY, Json(body)).into_response()
}

const EVERYBODY: [(HeaderName, &str); 1] = [(ACCESS_CONTROL_ALLOW_ORIGIN, "*")];

fn json_for_everybody(document: Value) -> Response {
    (EVERYBODY, Json(document)).into_response()
}

fn not_found() -> Response {
    let body = json!({ "errcode": "M_NOT_FOUND", "error": "nothing is published here" });
    (StatusCode::NOT_FOUND, EVERYBODY, Json(body)).into_response()
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "what a tenant publishes cannot be served");
    let body = json!({ "errcode": "M_UNKNOWN", "error": "internal server error" });
    (StatusCode::INTERNAL_SERVER_ERROR, EVERYBODY, Json(body)).into_response()
}
