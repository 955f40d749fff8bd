//! All routes together.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use ruma_common::api::error::ErrorCode;

use crate::endpoints::Endpoints;
use crate::error::ApiError;
use crate::services::Services;
use crate::trace::RequestNumbers;
use crate::{account, cors, discovery, encryption, media, push, rooms, sync, trace};

/// Every endpoint of this API.
pub fn endpoints() -> Endpoints {
    Endpoints::default()
        .merge(discovery::routes())
        .merge(account::routes())
        .merge(rooms::routes())
        .merge(sync::routes())
        .merge(encryption::routes())
        .merge(push::routes())
        .merge(media::routes())
}

/// The router of the client-server API.
///
/// What is not an endpoint is answered as the
/// [specification](https://spec.matrix.org/v1.19/client-server-api/#common-error-codes) says: `M_UNRECOGNIZED`, with 404
/// for an unknown path and 405 for a wrong method.
pub fn router(services: Services) -> Router {
    endpoints()
        .into_router()
        .route_layer(from_fn_with_state(services.clone(), rooms::once_whole))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        // Whoever reads a body says how much of it.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(cors::allow_everybody))
        .layer(from_fn_with_state(RequestNumbers::default(), trace::in_span))
        .with_state(services)
}

async fn unknown_path() -> ApiError {
    ApiError::new(ErrorCode::Unrecognized, "unrecognized request")
}

async fn wrong_method() -> ApiError {
    ApiError::new(ErrorCode::Unrecognized, "unrecognized method for this path")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}
