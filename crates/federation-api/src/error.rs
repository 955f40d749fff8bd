//! What goes wrong, as the [standard error responses](https://spec.matrix.org/v1.19/client-server-api/#standard-error-response)
//! that servers exchange, too.

use std::fmt::Display;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use freehold_store::{CommitError, ReadError};
use ruma_common::api::error::ErrorCode;
use serde_json::{Map, Value};

/// An error as the other server sees it.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The status of the answer.
    pub status: StatusCode,
    /// The code.
    pub errcode: ErrorCode,
    /// What went wrong, for people.
    pub message: String,
    /// What the code defines beside these.
    pub extra: Map<String, Value>,
    /// Headers of the answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// An error of this status and code.
    pub fn new(status: StatusCode, errcode: ErrorCode, message: impl Display) -> Self {
        ApiError { status, errcode, message: message.to_string(), extra: Map::new(), headers: Vec::new() }
    }

    /// 400 `M_INVALID_PARAM`.
    pub fn invalid(message: impl Display) -> Self {
        ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidParam, message)
    }

    /// 401 `M_UNAUTHORIZED`: the request is not proved to be the origin's.
    pub fn unauthorized(message: impl Display) -> Self {
        ApiError::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message)
    }

    /// 403 `M_FORBIDDEN`.
    pub fn forbidden(message: impl Display) -> Self {
        ApiError::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message)
    }

    /// 404 `M_NOT_FOUND`.
    pub fn not_found(message: impl Display) -> Self {
        ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
    }

    /// 413 `M_TOO_LARGE`.
    pub fn too_large(message: impl Display) -> Self {
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, message)
    }

    /// 421: the host is nobody's.
    pub(crate) fn misdirected() -> Self {
        let message = "this server is not responsible for the requested host";
        ApiError::new(StatusCode::MISDIRECTED_REQUEST, ErrorCode::Unrecognized, message)
    }

    /// 429 `M_LIMIT_EXCEEDED`.
    pub(crate) fn limited(wait_ms: u64) -> Self {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::LimitExceeded, "too many requests")
            .with("retry_after_ms", wait_ms)
            .with_header(RETRY_AFTER, wait_ms.div_ceil(1000))
    }

    /// A failure of the server. The other side learns no more than that; the log holds the reason.
    pub fn internal(error: impl std::error::Error) -> Self {
        let chain = std::iter::successors(error.source(), |source| source.source());
        let sources: Vec<String> = chain.map(ToString::to_string).collect();
        tracing::error!(%error, ?sources, "internal error");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown, "internal server error")
    }

    /// The same with one more member in the body.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// The same with one more header.
    pub fn with_header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut body = self.extra;
        body.insert("errcode".to_owned(), self.errcode.as_str().into());
        body.insert("error".to_owned(), self.message.into());
        let mut response = Response::new(Body::from(Value::Object(body).to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        ApiError::internal(error)
    }
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        ApiError::internal(error)
    }
}
