//! What is known of a request before it is read.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use freehold_store::Tenant;

use crate::error::ApiError;

/// What the listener knows of a request; it puts this into the request's extensions.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The tenant whose host the request names.
    pub tenant: Tenant,
    /// The address of the other server, told by a trusted proxy or seen by the listener; `None` on a unix socket.
    pub address: Option<IpAddr>,
}

impl<S: Send + Sync> FromRequestParts<S> for Connection {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Connection>().cloned().ok_or_else(ApiError::misdirected)
    }
}
