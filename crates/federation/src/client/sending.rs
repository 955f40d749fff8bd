//! Makes requests.

use std::sync::Arc;
use std::time::Duration;

use freehold_keyring::Purpose;
use freehold_rooms::Identities;
use freehold_signing::sign_request;
use freehold_store::{Clock, Tenant};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use hyper::{Response, Uri, http};
use ruma_common::{OwnedServerName, ServerName};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::answer::{Answer, Streamed};
use super::error::{Refusal, RequestError};
use super::opening::{first, in_order};
use super::patience::{Patience, retry_after_ms};
use super::request::{Attempt, Request};
use crate::discovery::{AGENT, Discovery, Target};
use crate::health::Health;
use crate::limits::{ERROR_BYTES_MAX, KNOCK_TIME_MS};
use crate::transport::{Body, SendError};

/// Makes requests to other servers, each in the name of a tenant.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

/// What a [`Client`] is made of.
pub struct ClientParts {
    /// Where servers are; over its network requests are made.
    pub discovery: Discovery,
    /// Who is hosted here, signs, and speaks with whom.
    pub identities: Arc<dyn Identities>,
    /// Who answers.
    pub health: Health,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

struct Inner {
    parts: ClientParts,
    patience: Patience,
}

impl Client {
    /// A client.
    pub fn new(parts: ClientParts) -> Self {
        Client(Arc::new(Inner { parts, patience: Patience::new() }))
    }

    /// Where servers are.
    pub fn discovery(&self) -> &Discovery {
        &self.0.parts.discovery
    }

    /// Who answers.
    pub fn health(&self) -> &Health {
        &self.0.parts.health
    }

    /// Makes a request in the name of a tenant, signed
    /// (<https://spec.matrix.org/v1.19/server-server-api/#request-authentication>), and waits for the whole answer.
    ///
    /// # Errors
    /// [`RequestError`], also for an answer that is no success.
    pub async fn request(
        &self,
        tenant: &Tenant,
        destination: &ServerName,
        request: Request,
    ) -> Result<Answer, RequestError> {
        self.stream(tenant, destination, request).await?.collect().await
    }

    /// The same, with a body that is read as it comes.
    ///
    /// # Errors
    /// [`RequestError`], also for an answer that is no success.
    pub async fn stream(
        &self,
        tenant: &Tenant,
        destination: &ServerName,
        request: Request,
    ) -> Result<Streamed, RequestError> {
        self.may_ask(tenant, destination)?;
        let authorization = self.sign(tenant, destination, &request)?;
        let answered = self.0.send(destination, request, Some(authorization)).await;
        if let Err(RequestError::Refused(refusal)) = &answered {
            self.remember_to_wait(tenant, destination, refusal);
        }
        answered
    }

    /// Makes a request in nobody's name, for what is public: keys and versions. Tenants of this process are not asked.
    ///
    /// # Errors
    /// [`RequestError`], also for an answer that is no success.
    pub async fn request_unsigned(
        &self,
        destination: &ServerName,
        request: Request,
    ) -> Result<Answer, RequestError> {
        self.stream_unsigned(destination, request).await?.collect().await
    }

    /// The same, with a body that is read as it comes.
    ///
    /// # Errors
    /// [`RequestError`], also for an answer that is no success.
    pub async fn stream_unsigned(
        &self,
        destination: &ServerName,
        request: Request,
    ) -> Result<Streamed, RequestError> {
        self.is_elsewhere(destination)?;
        self.0.send(destination, request, None).await
    }

    /// Sees to it that there is a connection to a server, before it is worked out what it is to be told: to try one that is
    /// gone costs little then. Whoever has it makes the request [`at_once`](Request::at_once).
    ///
    /// # Errors
    /// [`RequestError`], as of a request.
    pub(crate) async fn knock(
        &self,
        tenant: &Tenant,
        destination: &ServerName,
    ) -> Result<Door<'_>, RequestError> {
        self.may_ask(tenant, destination)?;
        self.0.admit(destination)?;
        let door = Door { health: self.health(), server: destination.to_owned() };
        let time = Duration::from_millis(KNOCK_TIME_MS);
        let opened = tokio::time::timeout(time, self.0.open(destination)).await;
        match opened.unwrap_or(Err(RequestError::TooSlow)) {
            Ok(()) => Ok(door),
            Err(error) => {
                self.0.note_failure(destination, &error);
                Err(error)
            }
        }
    }

    fn is_elsewhere(&self, destination: &ServerName) -> Result<(), RequestError> {
        match self.0.parts.identities.tenant(destination) {
            Some(_) => Err(RequestError::Local { server_name: destination.to_owned() }),
            None => Ok(()),
        }
    }

    fn may_ask(&self, tenant: &Tenant, destination: &ServerName) -> Result<(), RequestError> {
        self.is_elsewhere(destination)?;
        if !self.0.parts.identities.speak(tenant, destination) {
            return Err(RequestError::NotSpokenWith { server_name: destination.to_owned() });
        }
        let now_ts = self.0.parts.clock.now_ts();
        match self.0.patience.until(tenant, destination, now_ts) {
            Some(until_ts) => Err(RequestError::ToldToWait { until_ts }),
            None => Ok(()),
        }
    }

    fn sign(
        &self,
        tenant: &Tenant,
        destination: &ServerName,
        request: &Request,
    ) -> Result<String, RequestError> {
        let purpose = Purpose::Request { destination, user: None };
        let signer = self.0.parts.identities.signer(tenant, purpose, self.0.parts.clock.now_ts())?;
        let signed = freehold_signing::Request {
            method: request.method.as_str(),
            uri: &request.uri,
            destination,
            content: request.content.as_deref(),
        };
        Ok(sign_request(&signed, &&*signer)?.to_string())
    }

    fn remember_to_wait(&self, tenant: &Tenant, destination: &ServerName, refusal: &Refusal) {
        if let Some(wait_ms) = refusal.retry_after_ms {
            let until_ts = self.0.parts.clock.now_ts().saturating_add(wait_ms);
            self.0.patience.told(tenant, destination, until_ts);
        }
    }
}

/// A server that may be asked although it did not answer lately. Nobody else asks it meanwhile.
pub(crate) struct Door<'c> {
    health: &'c Health,
    server: OwnedServerName,
}

impl Drop for Door<'_> {
    fn drop(&mut self) {
        self.health.is_not_tried(&self.server);
    }
}

impl Inner {
    fn admit(&self, destination: &ServerName) -> Result<(), RequestError> {
        self.parts.health.admit(destination).map_err(|until_ts| RequestError::Waiting { until_ts })
    }

    async fn open(&self, destination: &ServerName) -> Result<(), RequestError> {
        let target = self.parts.discovery.find(destination).await?;
        let transport = self.parts.discovery.web().transport();
        let endpoints: Vec<_> = target.endpoints().collect();
        match first(&**transport, &endpoints).await {
            Ok(_) => Ok(()),
            Err(error) => {
                self.parts.discovery.doubt(destination);
                Err(error.unwrap_or_else(no_address).into())
            }
        }
    }

    async fn send(
        &self,
        destination: &ServerName,
        request: Request,
        authorization: Option<String>,
    ) -> Result<Streamed, RequestError> {
        if request.attempt == Attempt::WhenDue {
            self.admit(destination)?;
        }
        let started = Instant::now();
        let reaching = self.reach(destination, &request, authorization);
        let reached = match tokio::time::timeout(request.time, reaching).await {
            Ok(reached) => reached,
            Err(_) => Err(RequestError::TooSlow),
        };
        let answered = match reached {
            Ok(response) => {
                let left = request.time.saturating_sub(started.elapsed());
                answered(response, request.bytes_max, left).await
            }
            Err(error) => Err(error),
        };
        self.note(destination, &answered);
        answered
    }

    async fn reach(
        &self,
        destination: &ServerName,
        request: &Request,
        authorization: Option<String>,
    ) -> Result<Response<Body>, RequestError> {
        let target = self.parts.discovery.find(destination).await?;
        let message = message(&target, request, authorization)?;
        let transport = self.parts.discovery.web().transport();
        let mut last = None;
        for endpoint in in_order(&**transport, target.endpoints().collect()).await {
            match transport.send(&endpoint, message.clone()).await {
                Ok(response) => return Ok(response),
                Err(error) if error.was_not_sent() => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        self.parts.discovery.doubt(destination);
        Err(last.unwrap_or_else(no_address).into())
    }

    /// Has the destination's health know how it went.
    fn note(&self, destination: &ServerName, answered: &Result<Streamed, RequestError>) {
        match answered {
            Ok(_) => self.parts.health.succeeded(destination),
            Err(error) => self.note_failure(destination, error),
        }
    }

    fn note_failure(&self, destination: &ServerName, error: &RequestError) {
        match error {
            // A proxy that answers for a dead server; the server itself would have said why.
            RequestError::Refused(refusal)
                if matches!(refusal.status, 502..=504 | 520..=530) && refusal.errcode.is_empty() =>
            {
                self.parts.health.failed(destination);
            }
            RequestError::Refused(_) | RequestError::Redirected { .. } => {
                self.parts.health.succeeded(destination);
            }
            RequestError::NotFound(_)
            | RequestError::TooSlow
            | RequestError::NotReached(
                SendError::Connect { .. } | SendError::Tls { .. } | SendError::Broken { .. },
            ) => self.parts.health.failed(destination),
            _ => {}
        }
    }
}

fn no_address() -> SendError {
    SendError::SetUp { reason: "a server without an address".to_owned() }
}

/// The request as it goes over the wire.
pub(crate) fn message(
    target: &Target,
    request: &Request,
    authorization: Option<String>,
) -> Result<http::Request<Bytes>, RequestError> {
    let wrong = || RequestError::Uri { uri: request.uri.chars().take(500).collect() };
    let uri: Uri = format!("https://{}{}", target.host, request.uri).parse().map_err(|_| wrong())?;
    // What is signed is what is sent, letter by letter.
    let on_wire = uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    if on_wire != Some(request.uri.as_str()) || !request.uri.starts_with("/_matrix/") {
        return Err(wrong());
    }
    let mut message = http::Request::builder().method(request.method.clone()).uri(uri);
    message = message.header(USER_AGENT, AGENT);
    if let Some(authorization) = authorization {
        message = message.header(AUTHORIZATION, authorization);
    }
    if request.content.is_some() {
        message = message.header(CONTENT_TYPE, "application/json");
    }
    message.body(request.content.clone().unwrap_or_default()).map_err(|_| wrong())
}

async fn answered(
    response: Response<Body>,
    bytes_max: usize,
    left: Duration,
) -> Result<Streamed, RequestError> {
    let (head, body) = response.into_parts();
    if head.status.is_success() {
        return Ok(Streamed::new(head.status.as_u16(), head.headers, body.bounded(bytes_max, left)));
    }
    Err(refused(&head, body, left).await)
}

async fn refused(head: &http::response::Parts, body: Body, left: Duration) -> RequestError {
    let status = head.status.as_u16();
    if head.status.is_redirection() {
        return RequestError::Redirected { status };
    }
    let bytes = body.bounded(ERROR_BYTES_MAX, left).collect().await.unwrap_or_default();
    let body: Map<String, Value> = serde_json::from_slice(&bytes).unwrap_or_default();
    let text = |member: &str| body.get(member).and_then(Value::as_str).unwrap_or_default();
    let errcode = text("errcode").chars().take(255).collect();
    let message = text("error").chars().take(500).collect();
    let retry_after_ms = (status == 429).then(|| retry_after_ms(&head.headers, &body)).flatten();
    RequestError::Refused(Refusal { status, errcode, message, retry_after_ms, body })
}
