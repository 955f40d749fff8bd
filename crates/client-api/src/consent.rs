//! Consent to the documents of a tenant, where the tenant wants it of people who have an account.
//!
//! The specification knows consent at
//! [registration](https://spec.matrix.org/v1.19/client-server-api/#terms-of-service-at-registration) only. For what comes later,
//! clients know `M_CONSENT_NOT_GIVEN` with a `consent_uri`, as Synapse has it: they show the address, and send again.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use freehold_accounts::{Accounts, Stage};
use ruma_common::api::error::ErrorCode;

use crate::authenticated::{Authenticate, Authenticated};
use crate::error::ApiError;
use crate::tenant_of_host::{TenantsByHost, host};

/// A user in good standing who accepted what must be accepted. For what others see: who only reads, leaves or takes something
/// back is not asked.
#[derive(Clone, Debug)]
pub(crate) struct Consenting(pub(crate) Authenticated);

impl<S> FromRequestParts<S> for Consenting
where
    S: Send + Sync,
    Arc<dyn TenantsByHost>: FromRef<S>,
    Arc<dyn Authenticate>: FromRef<S>,
    Accounts: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &S) -> Result<Self, ApiError> {
        let user = Authenticated::from_request_parts(parts, services).await?;
        match Accounts::from_ref(services).consent_session(&user.actor).await? {
            None => Ok(Consenting(user)),
            Some(session) => Err(not_given(parts, &user, &session)),
        }
    }
}

fn not_given(parts: &Parts, user: &Authenticated, session: &str) -> ApiError {
    let server_name = user.actor.tenant.server_name();
    // The client reached us at this host just now. Only what never leaves the machine does without TLS.
    let host = host(parts).unwrap_or_else(|| server_name.to_string());
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    let scheme = if name == "localhost" || name.ends_with(".localhost") { "http" } else { "https" };
    let stage = Stage::Terms.as_str();
    let uri = format!("{scheme}://{host}/_matrix/client/v3/auth/{stage}/fallback/web?session={session}");
    let message = format!("to go on, read and accept the terms of {server_name}: {uri}");
    ApiError::new(ErrorCode::from("M_CONSENT_NOT_GIVEN"), message)
        .with_status(StatusCode::FORBIDDEN)
        .with("consent_uri", uri)
}
