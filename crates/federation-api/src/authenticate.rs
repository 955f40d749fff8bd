//! Request authentication
//! (<https://spec.matrix.org/v1.19/server-server-api/#request-authentication>): before any handler.

use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, StatusCode, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use freehold_signing::{Request as SignedRequest, RequestError, XMatrix, verify_request};
use freehold_store::Tenant;
use ruma_common::OwnedServerName;
use ruma_common::api::error::ErrorCode;

use crate::asker::Asker;
use crate::bodies::{BodyRefused, Share};
use crate::connection::Connection;
use crate::error::ApiError;
use crate::limits::{BODY_BYTES_MAX, LimitKey, SIGNATURES_MAX, TRANSACTION_BYTES_MAX, network};
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
    // Before anything is read or fetched.
    let (origin, credentials) = credentials(&parts.headers, tenant)?;
    let (body, held) = read(services, connection, parts, body).await?;
    let target = target(parts);
    let request = SignedRequest {
        method: parts.method.as_str(),
        uri: &target,
        destination: tenant.server_name(),
        content: (!body.is_empty()).then_some(&body[..]),
    };
    let mut refusal = None;
    for credentials in &credentials {
        let keys = services.origin_keys.keys(tenant, &origin, &credentials.key).await;
        match verify_request(&request, credentials, &&*keys, services.clock.now_ts()) {
            Ok(()) => return Ok((Asker { tenant: tenant.clone(), origin }, body, held)),
            Err(error) => refusal = refusal.or(Some(refused(&error))),
        }
    }
    Err(refusal.unwrap_or_else(missing))
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

/// Who says to ask this tenant, with the credentials of each header with the scheme `X-Matrix`. A server that changes its key signs
/// with the old and the new one, and sends a header for each; one that can be verified is enough. Each may have a key fetched, so they
/// are few, of one server.
fn credentials(headers: &HeaderMap, tenant: &Tenant) -> Result<(OwnedServerName, Vec<XMatrix>), ApiError> {
    let values = headers.get_all(header::AUTHORIZATION).iter();
    let ours = values.map(|value| value.as_bytes().trim_ascii_start()).filter(|value| is_x_matrix(value));
    let parsed: Result<Vec<XMatrix>, _> = ours.take(SIGNATURES_MAX + 1).map(XMatrix::parse).collect();
    let parsed = parsed.map_err(|error| {
        ApiError::unauthorized(format!("malformed X-Matrix authorization header: {error}"))
    })?;
    let origin = parsed.first().ok_or_else(missing)?.origin.clone();
    if parsed.len() > SIGNATURES_MAX {
        return Err(ApiError::unauthorized(format!(
            "more than {SIGNATURES_MAX} X-Matrix authorization headers"
        )));
    }
    if parsed.iter().any(|one| one.origin != origin) {
        return Err(ApiError::unauthorized("X-Matrix authorization headers of several servers"));
    }
    let mut named = parsed.iter().filter_map(|one| one.destination.as_ref());
    if let Some(named) = named.find(|named| *named != tenant.server_name()) {
        return Err(refused(&RequestError::WrongDestination { named: named.clone() }));
    }
    if origin == tenant.server_name() {
        return Err(ApiError::unauthorized("a server does not ask itself"));
    }
    Ok((origin, parsed))
}

fn is_x_matrix(value: &[u8]) -> bool {
    let scheme = value.get(..b"X-Matrix ".len()).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"X-Matrix ")
}

fn missing() -> ApiError {
    ApiError::unauthorized("missing X-Matrix authorization header")
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
