//! Arguments of handlers: paths, queries and bodies, with errors in the form of the specification.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use ruma_common::api::error::ErrorCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The variables of a path.
#[derive(Clone, Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &S) -> Result<Self, ApiError> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, services).await;
        path.map(|axum::extract::Path(value)| Path(value))
            .map_err(|error| ApiError::invalid(format!("path: {}", error.body_text())))
    }
}

/// The parameters of a query.
#[derive(Clone, Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        serde_html_form::from_str(query).map(Query).map_err(|error| {
            let text = error.to_string();
            let errcode = match text.starts_with("missing field") {
                true => ErrorCode::MissingParam,
                false => ErrorCode::InvalidParam,
            };
            ApiError::new(StatusCode::BAD_REQUEST, errcode, format!("query: {text}"))
        })
    }
}

/// A body of JSON. The last argument of a handler.
#[derive(Clone, Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, services: &S) -> Result<Self, ApiError> {
        // It was read already, within its bounds.
        let body = Bytes::from_request(request, services).await;
        let body = body.map_err(|error| ApiError::invalid(error.body_text()))?;
        from_json(&body).map(Json)
    }
}

/// `M_NOT_JSON` for what is no JSON, `M_BAD_JSON` for what is and is not as it should be.
pub(crate) fn from_json<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let errcode = if error.is_data() { ErrorCode::BadJson } else { ErrorCode::NotJson };
        ApiError::new(StatusCode::BAD_REQUEST, errcode, format!("body: {error}"))
    })
}
