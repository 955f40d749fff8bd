//! Which tenant a request is for: the one that owns the host name in it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::request::Parts;
use freehold_store::Tenant;
use ruma_common::api::error::ErrorCode;

use crate::error::ApiError;
use crate::limits::Rate;

/// Knows the host names of tenants.
pub trait TenantsByHost: Send + Sync {
    /// The tenant that is served under `host`: a host name in lower case, with a port if the request named one.
    fn tenant_of_host(&self, host: &str) -> Option<Tenant>;

    /// How many requests all of a tenant together may send, if it settled for less than others.
    fn rate_of(&self, _tenant: &Tenant) -> Option<Rate> {
        None
    }
}

/// What the listener knows about the connection of a request; it puts this into the request's extensions.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The address of the client, told by a trusted proxy or seen by the listener; `None` on a unix socket.
    pub client_address: Option<IpAddr>,
    /// The tenant for host names that nobody owns.
    pub default_tenant: Option<Tenant>,
}

/// The tenant whose host name the request names. Refuses host names that are nobody's with 421.
#[derive(Clone, Debug)]
pub struct TenantOfHost(pub Tenant);

impl<S> FromRequestParts<S> for TenantOfHost
where
    S: Send + Sync,
    Arc<dyn TenantsByHost>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &S) -> Result<Self, ApiError> {
        if let Some(found) = parts.extensions.get::<TenantOfHost>() {
            return Ok(found.clone());
        }
        let tenants = Arc::<dyn TenantsByHost>::from_ref(services);
        let tenant = host(parts)
            .and_then(|host| tenants.tenant_of_host(&host))
            .or_else(|| parts.extensions.get::<Connection>()?.default_tenant.clone())
            .ok_or_else(misdirected)?;
        tracing::Span::current().record("tenant", tenant.server_name().as_str());
        let found = TenantOfHost(tenant);
        parts.extensions.insert(found.clone());
        Ok(found)
    }
}

/// The host that the request names: in its target if that is absolute, as in HTTP/2, else in its header.
pub(crate) fn host(parts: &Parts) -> Option<String> {
    let named = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts.headers.get(HOST)?.to_str().ok()?,
    };
    Some(named.trim_end_matches('.').to_ascii_lowercase())
}

fn misdirected() -> ApiError {
    ApiError::new(ErrorCode::Unrecognized, "this server is not responsible for the requested host")
        .with_status(StatusCode::MISDIRECTED_REQUEST)
}
