//! Who asks whom, once that is proved.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use freehold_store::Tenant;
use ruma_common::OwnedServerName;

use crate::error::ApiError;

/// Which server asks which tenant: proved by a signature for just this request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The tenant that is asked: the one of the host.
    pub tenant: Tenant,
    /// The server that asks.
    pub origin: OwnedServerName,
}

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // A handler that wants this at an endpoint that is open to everybody would never be reached.
        parts
            .extensions
            .get::<Asker>()
            .cloned()
            .ok_or_else(|| ApiError::unauthorized("the request is not signed"))
    }
}
