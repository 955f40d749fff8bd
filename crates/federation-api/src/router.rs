//! All routes together.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use ruma_common::api::error::ErrorCode;

use crate::endpoints::Endpoints;
use crate::error::ApiError;
use crate::services::Services;
use crate::trace::RequestNumbers;
use crate::{devices, directory, keys, media, openid, profile, rooms, send, trace, version};

/// Every endpoint of this API.
pub fn endpoints(services: Services) -> Endpoints {
    let endpoints = Endpoints::new(services);
    let areas = [
        version::routes,
        keys::routes,
        openid::routes,
        profile::routes,
        directory::routes,
        media::routes,
        devices::routes,
        send::routes,
        rooms::routes,
    ];
    areas.into_iter().fold(endpoints, |endpoints, add_area| add_area(endpoints))
}

/// The router of the server-server API.
///
/// What is not an endpoint is answered as the
/// [specification](https://spec.matrix.org/v1.19/server-server-api/#unsupported-endpoints) says: `M_UNRECOGNIZED`, with 404
/// for an unknown path and 405 for a wrong method.
pub fn router(services: Services) -> Router {
    endpoints(services.clone())
        .into_router()
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        // Whoever reads a body says how much of it.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(RequestNumbers::default(), trace::in_span))
        .with_state(services)
}

async fn unknown_path() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, ErrorCode::Unrecognized, "unrecognized request")
}

async fn wrong_method() -> ApiError {
    let message = "unrecognized method for this path";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unrecognized, message)
}
