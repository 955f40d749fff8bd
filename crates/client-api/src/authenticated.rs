//! Who asks: the access token of a request, and what its user may do at all.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use freehold_store::{Actor, BoxFuture};
use ruma_common::api::error::ErrorCode;
use ruma_common::{DeviceId, OwnedDeviceId};

use crate::error::ApiError;
use crate::tenant_of_host::{Connection, TenantOfHost, TenantsByHost};

/// Knows access tokens.
pub trait Authenticate: Send + Sync {
    /// The session of an access token. A token of another tenant is as unknown as one that never was.
    fn authenticate<'a>(
        &'a self,
        host: &'a TenantOfHost,
        access_token: &'a str,
    ) -> BoxFuture<'a, Result<Session, AuthenticationError>>;

    /// Is told that a session was used, from where and with what, as far as it is known. Does nothing unless it is kept.
    fn note_use(&self, _session: &Session, _address: Option<IpAddr>, _user_agent: Option<&str>) {}
}

/// What an access token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The user, with the number of the device.
    pub actor: Actor,
    /// The id of the device, if the token belongs to one.
    pub device_id: Option<OwnedDeviceId>,
    /// What the user may do.
    pub standing: Standing,
}

/// What a user may do at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything.
    Good,
    /// Read, and [little else](https://spec.matrix.org/v1.19/client-server-api/#account-suspension).
    Suspended,
    /// [Log out](https://spec.matrix.org/v1.19/client-server-api/#account-locking).
    Locked,
}

/// Why there is no session for an access token.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// There is no such token.
    #[error("unknown access token")]
    Unknown,
    /// The token is expired or was logged out softly: the device and its keys still exist.
    #[error("access token has expired")]
    SoftLogout,
    /// Tokens cannot be looked up.
    #[error("access token could not be looked up")]
    Lookup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<AuthenticationError> for ApiError {
    fn from(error: AuthenticationError) -> Self {
        match error {
            AuthenticationError::Unknown => {
                ApiError::new(ErrorCode::UnknownToken, error).with("soft_logout", false)
            }
            AuthenticationError::SoftLogout => {
                ApiError::new(ErrorCode::UnknownToken, error).with("soft_logout", true)
            }
            AuthenticationError::Lookup(_) => ApiError::internal(error),
        }
    }
}

/// A user in good standing. Suspended users pass when they only read.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The user.
    pub actor: Actor,
    /// The id of the device, if the access token belongs to one.
    pub device_id: Option<OwnedDeviceId>,
    /// What the user may do.
    pub standing: Standing,
}

impl Authenticated {
    /// The id of the device from which the request came.
    ///
    /// # Errors
    /// `M_FORBIDDEN` when the access token belongs to none, as that of an application service.
    pub fn device_id(&self) -> Result<&DeviceId, ApiError> {
        let missing = || ApiError::new(ErrorCode::Forbidden, "only a device may do this");
        self.device_id.as_deref().ok_or_else(missing)
    }
}

impl From<Session> for Authenticated {
    fn from(Session { actor, device_id, standing }: Session) -> Self {
        Authenticated { actor, device_id, standing }
    }
}

/// A user who may be suspended: for what suspended users are allowed to do, though it writes.
#[derive(Clone, Debug)]
pub struct EvenSuspended(pub Authenticated);

/// A user who may be suspended or locked: for logging out.
#[derive(Clone, Debug)]
pub struct EvenLocked(pub Authenticated);

impl<S> FromRequestParts<S> for Authenticated
where
    S: Send + Sync,
    Arc<dyn TenantsByHost>: FromRef<S>,
    Arc<dyn Authenticate>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &S) -> Result<Self, ApiError> {
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        match session(parts, services).await? {
            Session { standing: Standing::Suspended, .. } if !reads => Err(suspended()),
            Session { standing: Standing::Locked, .. } => Err(locked()),
            session => Ok(session.into()),
        }
    }
}

impl<S> FromRequestParts<S> for EvenSuspended
where
    S: Send + Sync,
    Arc<dyn TenantsByHost>: FromRef<S>,
    Arc<dyn Authenticate>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &S) -> Result<Self, ApiError> {
        match session(parts, services).await? {
            Session { standing: Standing::Locked, .. } => Err(locked()),
            session => Ok(EvenSuspended(session.into())),
        }
    }
}

impl<S> FromRequestParts<S> for EvenLocked
where
    S: Send + Sync,
    Arc<dyn TenantsByHost>: FromRef<S>,
    Arc<dyn Authenticate>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &S) -> Result<Self, ApiError> {
        Ok(EvenLocked(session(parts, services).await?.into()))
    }
}

/// The actor of a request that was authenticated, for the rate limits.
#[derive(Clone)]
pub(crate) struct KnownActor(pub(crate) Actor);

async fn session<S>(parts: &mut Parts, services: &S) -> Result<Session, ApiError>
where
    S: Send + Sync,
    Arc<dyn TenantsByHost>: FromRef<S>,
    Arc<dyn Authenticate>: FromRef<S>,
{
    let host = TenantOfHost::from_request_parts(parts, services).await?;
    let sessions = Arc::<dyn Authenticate>::from_ref(services);
    let token = access_token(parts).ok_or_else(missing_token)?;
    let session = sessions.authenticate(&host, &token).await?;
    // A token of one tenant is unknown to all others, whoever answered the question.
    if session.actor.tenant != host.0 {
        return Err(AuthenticationError::Unknown.into());
    }
    let address = parts.extensions.get::<Connection>().and_then(|connection| connection.client_address);
    let user_agent = parts.headers.get(USER_AGENT).and_then(|name| name.to_str().ok());
    sessions.note_use(&session, address, user_agent);
    parts.extensions.insert(KnownActor(session.actor.clone()));
    Ok(session)
}

/// [Using access tokens](https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens): in the header, or in the
/// query string, which is deprecated.
fn access_token(parts: &Parts) -> Option<String> {
    match parts.headers.get(AUTHORIZATION) {
        Some(header) => {
            let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        }
        None => {
            let query: Vec<(String, String)> = serde_html_form::from_str(parts.uri.query()?).ok()?;
            query.into_iter().find(|(name, _)| name == "access_token").map(|(_, token)| token)
        }
    }
}

fn missing_token() -> ApiError {
    ApiError::new(ErrorCode::MissingToken, "missing access token")
}

pub(crate) fn suspended() -> ApiError {
    ApiError::new(ErrorCode::UserSuspended, "you cannot perform this action while suspended")
}

fn locked() -> ApiError {
    ApiError::new(ErrorCode::UserLocked, "this account has been locked")
        .with_status(StatusCode::UNAUTHORIZED)
        .with("soft_logout", true)
}
