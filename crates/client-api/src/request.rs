//! Requests of ruma as arguments of handlers.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::{Method, StatusCode, header, request};
use freehold_store::{Clock, Tenant};
use ruma_common::api::error::{DeserializationError, ErrorCode, FromHttpRequestError};
use ruma_common::api::{IncomingRequest, IncomingRequestExt};
use ruma_common::{EventId, RoomAliasId, RoomId, RoomOrAliasId, ServerName, UserId};

use crate::authenticated::KnownActor;
use crate::bodies::{BodyRefused, HeldBody};
use crate::error::ApiError;
use crate::json_path::path_at;
use crate::limits::{LimitKey, Limits, RetryAfter};
use crate::tenant_of_host::{Connection, TenantOfHost, TenantsByHost};

/// How many bytes a JSON body may have. Events are bounded by 65,536 bytes; uploads of keys and backups are larger.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// After which time a client whose body does not fit beside those of others may try again, in milliseconds.
const BODY_WAIT_MS: u64 = 1000;

/// How many parameters of a query are looked at when one is wrong; no endpoint has more.
const BLAMED_PAIRS_MAX: usize = 16;

/// A request of ruma, made of path, query, headers and body. The last argument of a handler.
///
/// Takes from the rate limits first. Says of what cannot be read which field it is.
#[derive(Clone, Debug)]
pub struct Body<R>(pub R);

impl<R, S> FromRequest<S> for Body<R>
where
    R: IncomingRequest,
    S: Send + Sync,
    Arc<dyn TenantsByHost>: FromRef<S>,
    Arc<dyn Clock>: FromRef<S>,
    Limits: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, services: &S) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let TenantOfHost(tenant) = TenantOfHost::from_request_parts(&mut parts, services).await?;
        if R::RATE_LIMITED || R::METHOD != Method::GET {
            take_from_limits(&parts, tenant, services)?;
        }
        let arguments = RawPathParams::from_request_parts(&mut parts, services).await.map_err(bad_path)?;
        let held = read_body(&parts, body, &Limits::from_ref(services)).await?;
        let mut body = held.as_ref().map(|held| held.bytes.clone()).unwrap_or_default();
        if body.is_empty() {
            // Clients leave out bodies in which every field is optional: matrix-nio does so when it joins.
            body = Bytes::from_static(b"{}");
        }
        parse(parts, &body, &arguments).map(Body)
    }
}

/// One request taken from the rate limits, for handlers that read the body themselves. An argument after
/// [`Authenticated`](crate::Authenticated), so that it is known whose request it is.
pub(crate) struct Counted;

impl<S> FromRequestParts<S> for Counted
where
    S: Send + Sync,
    Arc<dyn TenantsByHost>: FromRef<S>,
    Arc<dyn Clock>: FromRef<S>,
    Limits: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut request::Parts, services: &S) -> Result<Self, ApiError> {
        let TenantOfHost(tenant) = TenantOfHost::from_request_parts(parts, services).await?;
        take_from_limits(parts, tenant, services)?;
        Ok(Counted)
    }
}

fn take_from_limits<S>(parts: &request::Parts, tenant: Tenant, services: &S) -> Result<(), ApiError>
where
    Arc<dyn TenantsByHost>: FromRef<S>,
    Arc<dyn Clock>: FromRef<S>,
    Limits: FromRef<S>,
{
    let limits = Limits::from_ref(services);
    let now_ts = Arc::<dyn Clock>::from_ref(services).now_ts();
    let own_rate = Arc::<dyn TenantsByHost>::from_ref(services).rate_of(&tenant);
    let key = limit_key(parts, &tenant);
    let taken = limits.take(&key, now_ts);
    taken
        .and_then(|()| limits.take_within(&LimitKey::Tenant(tenant.number()), own_rate, now_ts))
        .map_err(limited)
}

/// Who is limited: the user, or the address of who is not known yet.
fn limit_key(parts: &request::Parts, tenant: &Tenant) -> LimitKey {
    if let Some(KnownActor(actor)) = parts.extensions.get::<KnownActor>() {
        return LimitKey::User(tenant.number(), actor.user);
    }
    let address = parts.extensions.get::<Connection>().and_then(|connection| connection.client_address);
    LimitKey::Address(tenant.number(), address.map(network))
}

/// One host has as many IPv6 addresses as it likes within its /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

fn limited(RetryAfter { wait_ms }: RetryAfter) -> ApiError {
    ApiError::new(ErrorCode::LimitExceeded, "too many requests")
        .with_header(header::RETRY_AFTER, wait_ms.div_ceil(1000))
        .with("retry_after_ms", wait_ms)
}

/// The body, unless the method has none; it is counted while it is held.
async fn read_body(
    parts: &request::Parts,
    body: axum::body::Body,
    limits: &Limits,
) -> Result<Option<HeldBody>, ApiError> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(None);
    }
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    limits.bodies().take(body, BODY_BYTES_MAX).await.map(Some).map_err(|refused| match refused {
        BodyRefused::TooLarge => too_large(),
        BodyRefused::BrokeOff => ApiError::new(ErrorCode::NotJson, "request body did not come to its end"),
        BodyRefused::NoMemory => limited(RetryAfter { wait_ms: BODY_WAIT_MS }),
    })
}

fn too_large() -> ApiError {
    ApiError::new(ErrorCode::TooLarge, format!("request body is larger than {BODY_BYTES_MAX} bytes"))
}

fn parse<R: IncomingRequest>(
    parts: request::Parts,
    body: &[u8],
    arguments: &RawPathParams,
) -> Result<R, ApiError> {
    arguments.iter().try_for_each(|(name, argument)| check_path_argument(name, argument))?;
    let values: Vec<&str> = arguments.iter().map(|(_, value)| value).collect();
    let read = |query: &str| {
        let mut request = axum::http::Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.headers_mut() = parts.headers.clone();
        *request.uri_mut() = format!("{}?{query}", parts.uri.path()).parse().unwrap_or_default();
        R::try_from_http_request(request, &values)
    };
    let query = parts.uri.query().unwrap_or_default();
    read(query).map_err(|error| bad_request(error, body, || blamed(query, |query| read(query).err())))
}

/// The name in a query string without which the string would not be wrong in this way: errors do not say it.
fn blamed(query: &str, error_of: impl Fn(&str) -> Option<FromHttpRequestError>) -> Option<String> {
    let whole = error_of(query)?.to_string();
    let pairs: Vec<&str> = query.split('&').take(BLAMED_PAIRS_MAX).collect();
    let to_blame = (0..pairs.len()).find(|one| {
        let others: Vec<&str> =
            pairs.iter().enumerate().filter(|(index, _)| index != one).map(|(_, pair)| *pair).collect();
        error_of(&others.join("&")).is_none_or(|error| error.to_string() != whole)
    })?;
    pairs.get(to_blame)?.split('=').next().map(str::to_owned)
}

/// Identifiers in paths, by the names of the variables in ruma's metadata.
fn check_path_argument(name: &str, argument: &str) -> Result<(), ApiError> {
    let checked = match name {
        "room_id" => RoomId::parse(argument).map(drop),
        "event_id" => EventId::parse(argument).map(drop),
        "user_id" => UserId::parse(argument).map(drop),
        "room_alias" => RoomAliasId::parse(argument).map(drop),
        "room_id_or_alias" => RoomOrAliasId::parse(argument).map(drop),
        "server_name" => ServerName::parse(argument).map(drop),
        _ => Ok(()),
    };
    checked.map_err(|error| {
        ApiError::new(ErrorCode::InvalidParam, format!("`{name}` in the path is not valid: {error}"))
    })
}

fn bad_path(error: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::InvalidParam, format!("path is not valid: {error}"))
}

fn bad_request(
    error: FromHttpRequestError,
    body: &[u8],
    blamed: impl FnOnce() -> Option<String>,
) -> ApiError {
    use DeserializationError as Bad;
    match error {
        FromHttpRequestError::Deserialization(Bad::Json(error)) => bad_json(&error, body),
        FromHttpRequestError::Deserialization(Bad::Utf8(error)) => {
            ApiError::new(ErrorCode::NotJson, format!("body is not UTF-8: {error}"))
        }
        FromHttpRequestError::Deserialization(Bad::Query(error)) => bad_query(&error.to_string(), blamed),
        FromHttpRequestError::Deserialization(other) => ApiError::new(ErrorCode::InvalidParam, other),
        FromHttpRequestError::MethodMismatch { .. } => {
            ApiError::new(ErrorCode::Unrecognized, "unrecognized method for this path")
                .with_status(StatusCode::METHOD_NOT_ALLOWED)
        }
        _ => ApiError::new(ErrorCode::Unknown, "request could not be read"),
    }
}

/// `M_NOT_JSON` for what is no JSON, `M_BAD_JSON` for what is and is not as it should be; both name the place.
pub(crate) fn bad_json(error: &serde_json::Error, body: &[u8]) -> ApiError {
    let text = error.to_string();
    let (what, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
    let place = match path_at(body, error.line(), error.column()) {
        path if path.is_empty() => "body".to_owned(),
        path => format!("`{path}`"),
    };
    if error.is_data() {
        ApiError::new(ErrorCode::BadJson, format!("{place}: {what}"))
    } else {
        ApiError::new(ErrorCode::NotJson, format!("body is not valid JSON: {text}"))
    }
}

/// Errors of query strings and paths are of one kind; a missing field can only be one of the query's.
fn bad_query(what: &str, blamed: impl FnOnce() -> Option<String>) -> ApiError {
    if what.starts_with("missing field") {
        return ApiError::new(ErrorCode::MissingParam, format!("query: {what}"));
    }
    match blamed() {
        Some(name) => ApiError::new(ErrorCode::InvalidParam, format!("`{name}` in the query: {what}")),
        None => ApiError::new(ErrorCode::InvalidParam, format!("path: {what}")),
    }
}
