//! Successful answers.

use axum::body::Body;
use axum::http::Response;
use axum::response::IntoResponse;
use ruma_common::api::{OutgoingResponse, OutgoingResponseExt};

use crate::error::ApiError;

/// A response type of ruma as an answer.
#[derive(Clone, Debug)]
pub struct Reply<T>(pub T);

impl<T: OutgoingResponse> IntoResponse for Reply<T> {
    fn into_response(self) -> Response<Body> {
        match self.0.try_into_http_response::<Vec<u8>>() {
            Ok(response) => response.map(Body::from),
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}
