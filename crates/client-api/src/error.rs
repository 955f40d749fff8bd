//! What goes wrong, as [standard error responses](https://spec.matrix.org/v1.19/client-server-api/#standard-error-response).

use std::fmt::Display;
use std::io;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use freehold_store::{CommitError, ReadError};
use ruma_common::api::error::ErrorCode;
use serde_json::{Map, Value};

/// An error as the client sees it.
///
/// The status follows from the code unless an endpoint's page in the specification says another.
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
    /// An error of this code, with the status that goes with it.
    pub fn new(errcode: ErrorCode, message: impl Display) -> Self {
        let status = status_of(&errcode);
        ApiError { status, errcode, message: message.to_string(), extra: Map::new(), headers: Vec::new() }
    }

    /// A failure of the server. The client learns no more than that, and whether it lies in writing; the log holds the reason.
    pub fn internal(error: impl std::error::Error + 'static) -> Self {
        if let Some(unwritten) = unwritten(&error) {
            return unwritten;
        }
        let chain = std::iter::successors(error.source(), |source| source.source());
        let sources: Vec<String> = chain.map(ToString::to_string).collect();
        tracing::error!(%error, ?sources, "internal error");
        ApiError::new(ErrorCode::Unknown, "internal server error")
            .with_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The same with another status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
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

/// What a client learns when nothing can be written for now, while reading goes on: that the disk is full, or that it does not
/// keep what is written to it.
fn unwritten(error: &(dyn std::error::Error + 'static)) -> Option<ApiError> {
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    chain.find_map(|error| {
        let is_full = match (error.downcast_ref::<CommitError>(), error.downcast_ref::<io::Error>()) {
            (Some(CommitError::Full), _) => true,
            (Some(CommitError::Engine(_)), _) => false,
            (_, Some(error)) if error.kind() == io::ErrorKind::StorageFull => true,
            _ => return None,
        };
        tracing::error!(error, "nothing can be written");
        Some(if is_full {
            ApiError::new(
                ErrorCode::ResourceLimitExceeded,
                "the server has no room for changes; reading goes on",
            )
            .with_status(StatusCode::INSUFFICIENT_STORAGE)
        } else {
            ApiError::new(ErrorCode::Unknown, "the server cannot write; reading goes on")
                .with_status(StatusCode::SERVICE_UNAVAILABLE)
        })
    })
}

/// The status that goes with a code where the specification names no other.
pub(crate) fn status_of(errcode: &ErrorCode) -> StatusCode {
    match errcode {
        ErrorCode::MissingToken
        | ErrorCode::UnknownToken
        | ErrorCode::Unauthorized
        | ErrorCode::UserLocked => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden
        | ErrorCode::GuestAccessForbidden
        | ErrorCode::InviteBlocked
        | ErrorCode::UserSuspended
        | ErrorCode::UserDeactivated
        | ErrorCode::ResourceLimitExceeded
        | ErrorCode::ThreepidDenied
        | ErrorCode::UserLimitExceeded
        | ErrorCode::WrongRoomKeysVersion
        | ErrorCode::CannotLeaveServerNoticeRoom => StatusCode::FORBIDDEN,
        ErrorCode::NotFound | ErrorCode::Unrecognized | ErrorCode::ThreepidNotFound => StatusCode::NOT_FOUND,
        ErrorCode::CannotOverwriteMedia => StatusCode::CONFLICT,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::LimitExceeded => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::NotYetUploaded | ErrorCode::ConnectionTimeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::ConnectionFailed => StatusCode::BAD_GATEWAY,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut body = self.extra;
        body.insert("errcode".to_owned(), self.errcode.as_str().into());
        body.insert("error".to_owned(), sentence(self.message).into());
        let mut response = Response::new(Body::from(Value::Object(body).to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers);
        response
    }
}

/// Clients show these to people: the first letter is a capital one.
fn sentence(message: String) -> String {
    let mut letters = message.chars();
    match letters.next() {
        Some(first) if first.is_ascii_lowercase() => {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        }
        _ => message,
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
