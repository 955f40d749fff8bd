//! Request authentication
//! (<https://spec.matrix.org/v1.19/server-server-api/#request-authentication>): before any handler.

use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, StatusCode, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use freehold_signing::{Request as SignedRequest, RequestError, XMatrix, verify_request};
use ruma_common::api::error::ErrorCode;

use crate::asker::Asker;
use crate::bodies::{BodyRefused, Share};
use crate::connection::Connection;
use crate::error::ApiError;
use crate::limits::{BODY_BYTES_MAX, LimitKey, TRANSACTION_BYTES_MAX, network};
use crate::services::Services;

/// Lets a request pass that its origin signed for this tenant.
pub(crate) async fn signed(State(services): State<Services>, request: Request, next: Next) -> Response {
    match authenticated(&services, request).await {
        Ok((request, _held)) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Lets a request pass that everybody may send, unless its network sent too many.
pub(crate) async fn counted(State(services): State<Services>, request: Request, next: Next) -> Response {
    match count_and_read(&services, request).await {
        Ok((request, _held)) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// A request with its body, and what that counts for until it is answered.
type HeldRequest = (Request, Share);

async fn count_and_read(services: &Services, request: Request) -> Result<HeldRequest, ApiError> {
    let (parts, body) = request.into_parts();
    let connection = connection(&parts)?;
    services.limits.take(address_key(&connection), services.clock.now_ts()).map_err(ApiError::limited)?;
    let (body, held) = read(services, &connection, &parts, body).await?;
    Ok((Request::from_parts(parts, Body::from(body)), held))
}

async fn authenticated(services: &Services, request: Request) -> Result<HeldRequest, ApiError> {
    let (mut parts, body) = request.into_parts();
    let connection = connection(&parts)?;
    let address = address_key(&connection);
    // Who failed too often is not even looked at; whoever else comes from there waits with them.
    services.limits.look(&address, services.clock.now_ts()).map_err(ApiError::limited)?;
    let proved = prove(services, &connection, &parts, body).await;
    let (asker, body, held) = proved.inspect_err(|_| {
        // The bucket may be empty by now; the request is refused all the same.
        let _ = services.limits.take(address, services.clock.now_ts());
    })?;
    admit(services, &asker)?;
    parts.extensions.insert(asker);
    Ok((Request::from_parts(parts, Body::from(body)), held))
}

/// Who asks, and the body that they signed.
async fn prove(
    services: &Services,
    connection: &Connection,
    parts: &request::Parts,
    body: Body,
) -> Result<(Asker, Bytes, Share), ApiError> {
    let tenant = &connection.tenant;
    let credentials = credentials(&parts.headers)?;
    // Before anything is read or fetched: a request for somebody else, and one that claims to come from ourselves.
    if let Some(named) = credentials.destination.as_ref().filter(|named| *named != tenant.server_name()) {
        return Err(refused(&RequestError::WrongDestination { named: named.clone() }));
    }
    if credentials.origin == tenant.server_name() {
        return Err(ApiError::unauthorized("a server does not ask itself"));
    }
    let (body, held) = read(services, connection, parts, body).await?;
    let target = target(parts);
    let request = SignedRequest {
        method: parts.method.as_str(),
        uri: &target,
        destination: tenant.server_name(),
        content: (!body.is_empty()).then_some(&body[..]),
    };
    let keys = services.origin_keys.keys(tenant, &credentials.origin, &credentials.key).await;
    verify_request(&request, &credentials, &&*keys, services.clock.now_ts())
        .map_err(|error| refused(&error))?;
    Ok((Asker { tenant: tenant.clone(), origin: credentials.origin }, body, held))
}

/// Whether the tenant wants to hear a server that proved who it is. Only then, so that nobody can ask for lists of
/// denied servers by naming them.
fn admit(services: &Services, Asker { tenant, origin }: &Asker) -> Result<(), ApiError> {
    tracing::Span::current().record("origin", origin.as_str());
    if !services.tenants.speaks_with(tenant, origin) {
        return Err(ApiError::forbidden("this server does not federate with yours"));
    }
    services.origin_keys.heard_from(origin);
    let key = LimitKey::Origin(tenant.number(), origin.clone());
    services.limits.take(key, services.clock.now_ts()).map_err(ApiError::limited)
}

fn connection(parts: &request::Parts) -> Result<Connection, ApiError> {
    parts.extensions.get::<Connection>().cloned().ok_or_else(ApiError::misdirected)
}

fn address_key(connection: &Connection) -> LimitKey {
    LimitKey::of_address(connection.tenant.number(), connection.address)
}

/// The credentials of the first header with the scheme `X-Matrix`.
fn credentials(headers: &HeaderMap) -> Result<XMatrix, ApiError> {
    let is_ours = |value: &[u8]| {
        let scheme = value.get(..b"X-Matrix ".len()).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"X-Matrix ")
    };
    let mut values =
        headers.get_all(header::AUTHORIZATION).iter().map(|value| value.as_bytes().trim_ascii_start());
    let value = values.find(|value| is_ours(value));
    let value = value.ok_or_else(|| ApiError::unauthorized("missing X-Matrix authorization header"))?;
    XMatrix::parse(value)
        .map_err(|error| ApiError::unauthorized(format!("malformed X-Matrix authorization header: {error}")))
}

/// Path and query as on the wire, whatever router the request went through.
fn target(parts: &request::Parts) -> String {
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
    uri.path_and_query().map_or_else(|| uri.path().to_owned(), |target| target.as_str().to_owned())
}

async fn read(
    services: &Services,
    connection: &Connection,
    parts: &request::Parts,
    body: Body,
) -> Result<(Bytes, Share), ApiError> {
    let most = match parts.uri.path().starts_with("/_matrix/federation/v1/send/") {
        true => TRANSACTION_BYTES_MAX,
        false => BODY_BYTES_MAX,
    };
    let too_large = || ApiError::too_large(format!("request body is larger than {most} bytes"));
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > most) {
        return Err(too_large());
    }
    let slow = || {
        let message = "the request body did not come in time";
        ApiError::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Unknown, message)
    };
    let taken = services.limits.bodies().take(connection.address.map(network), body, most).await;
    taken.map_err(|refused| match refused {
        BodyRefused::TooLarge => too_large(),
        BodyRefused::Slow => slow(),
        BodyRefused::BrokeOff => ApiError::invalid("the request body broke off"),
        BodyRefused::NoMemory => ApiError::limited(NO_MEMORY_WAIT_MS),
    })
}

/// When to come again who found too many bodies held.
const NO_MEMORY_WAIT_MS: u64 = 1_000;

fn refused(error: &RequestError) -> ApiError {
    ApiError::unauthorized(error)
}
