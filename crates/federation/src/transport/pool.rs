//! Connections, kept and shared.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_lock::SemaphoreGuardArc;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::HOST;
use hyper::http::HeaderValue;
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use lru::LruCache;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::body::Body;
use super::tls::HTTP_2;
use super::{Endpoint, SendError};
use crate::limits::{
    self, CONNECT_TIME_MS, CONNECTIONS_PER_ENDPOINT_MAX, IDLE_CONNECTION_MS, IDLE_CONNECTIONS_MAX,
};

type Message = Full<Bytes>;
type Http1 = http1::SendRequest<Message>;
type Http2 = http2::SendRequest<Message>;

/// Connections by endpoint: one with HTTP/2, or several with HTTP/1.1.
pub(super) struct Pool {
    connector: TlsConnector,
    slots: Mutex<LruCache<Endpoint, Arc<Slot>>>,
}

struct Slot {
    endpoint: Endpoint,
    /// Held while connecting, so that all requests to a server with HTTP/2 share the first connection.
    connecting: async_lock::Mutex<()>,
    /// How many connections with HTTP/1.1 there may be.
    places: Arc<async_lock::Semaphore>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    shared: Option<(Http2, Instant)>,
    idle: Vec<(Http1, Instant)>,
}

enum Connected {
    Shared(Http2),
    Alone(Http1),
}

/// A request that did not get onto a connection; it may be sent on another one.
type Unsent = Box<Request<Message>>;

/// How often a server that is silent is asked whether it is there, while it owes an answer.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How many bytes the head of an answer may have.
const HEAD_BYTES_MAX: u32 = 64 * 1024;

impl Pool {
    pub(super) fn new(config: Arc<ClientConfig>) -> Self {
        let capacity = NonZeroUsize::new(IDLE_CONNECTIONS_MAX).unwrap_or(NonZeroUsize::MIN);
        Pool { connector: TlsConnector::from(config), slots: Mutex::new(LruCache::new(capacity)) }
    }

    pub(super) async fn send(
        &self,
        endpoint: &Endpoint,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, SendError> {
        let slot = self.slot(endpoint);
        let mut request = Box::new(request.map(Full::new));
        if let Some(shared) = slot.shared() {
            match slot.send_shared(shared, request).await? {
                Ok(response) => return Ok(response),
                Err(unsent) => request = unsent,
            }
        }
        let mut place = Some(slot.places.acquire_arc().await);
        while let Some(alone) = slot.idle() {
            match slot.send_alone(alone, request, &mut place).await? {
                Ok(response) => return Ok(response),
                Err(unsent) => request = unsent,
            }
        }
        let sent = match self.connected(&slot).await? {
            Connected::Shared(shared) => {
                // Shared connections take no place.
                drop(place.take());
                slot.send_shared(shared, request).await?
            }
            Connected::Alone(alone) => slot.send_alone(alone, request, &mut place).await?,
        };
        sent.map_err(|_| slot.broken("the connection was closed at once"))
    }

    /// Sees to it that there is a connection.
    pub(super) async fn open(&self, endpoint: &Endpoint) -> Result<(), SendError> {
        let slot = self.slot(endpoint);
        if slot.is_open() {
            return Ok(());
        }
        let place = slot.places.acquire_arc().await;
        if let Connected::Alone(alone) = self.connected(&slot).await? {
            slot.keep(alone, Some(place));
        }
        Ok(())
    }

    fn slot(&self, endpoint: &Endpoint) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Slot {
                endpoint: endpoint.clone(),
                connecting: async_lock::Mutex::new(()),
                places: Arc::new(async_lock::Semaphore::new(CONNECTIONS_PER_ENDPOINT_MAX)),
                open: Mutex::default(),
            })
        };
        slots.get_or_insert(endpoint.clone(), new).clone()
    }

    /// A connection: a new one, or the one that somebody else has just made and shares.
    async fn connected(&self, slot: &Arc<Slot>) -> Result<Connected, SendError> {
        let _turn = slot.connecting.lock().await;
        if let Some(shared) = slot.shared() {
            return Ok(Connected::Shared(shared));
        }
        let time = Duration::from_millis(CONNECT_TIME_MS);
        let stream = match tokio::time::timeout(time, self.connect(&slot.endpoint)).await {
            Ok(stream) => stream?,
            Err(_) => {
                let (address, reason) = (slot.endpoint.address, "no connection in time".to_owned());
                return Err(SendError::Connect { address, reason });
            }
        };
        if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
            slot.share(stream).await.map(Connected::Shared)
        } else {
            slot.speak_alone(stream).await.map(Connected::Alone)
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<TlsStream<TcpStream>, SendError> {
        let address = endpoint.address;
        let unreachable = |error: std::io::Error| SendError::Connect { address, reason: error.to_string() };
        let stream = TcpStream::connect(address).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let unproved = |reason: String| SendError::Tls {
            address,
            certificate_name: endpoint.certificate_name.clone(),
            reason,
        };
        let name = ServerName::try_from(endpoint.certificate_name.clone());
        let name = name.map_err(|error| unproved(error.to_string()))?;
        self.connector.connect(name, stream).await.map_err(|error| unproved(error.to_string()))
    }
}

impl Slot {
    /// The connection with HTTP/2, if there is one.
    fn shared(&self) -> Option<Http2> {
        let mut open = self.lock();
        let (shared, used) = open.shared.as_mut().filter(|(shared, _)| !shared.is_closed())?;
        *used = Instant::now();
        Some(shared.clone())
    }

    fn is_open(&self) -> bool {
        let open = self.lock();
        open.shared.as_ref().is_some_and(|(shared, _)| !shared.is_closed())
            || open.idle.iter().any(|(alone, since)| !alone.is_closed() && since.elapsed() < IDLE)
    }

    /// A connection with HTTP/1.1 that nobody uses, if there is one.
    fn idle(&self) -> Option<Http1> {
        let mut open = self.lock();
        while let Some((alone, since)) = open.idle.pop() {
            if !alone.is_closed() && since.elapsed() < IDLE {
                return Some(alone);
            }
        }
        None
    }

    async fn share(self: &Arc<Self>, stream: TlsStream<TcpStream>) -> Result<Http2, SendError> {
        let mut settings = http2::Builder::new(TokioExecutor::new());
        settings.timer(TokioTimer::new()).max_header_list_size(HEAD_BYTES_MAX);
        settings.keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_EVERY);
        settings.initial_stream_window_size(limits::ANSWER_WINDOW_BYTES);
        settings.initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES);
        let shaken = settings.handshake(TokioIo::new(stream)).await;
        let (shared, connection) = shaken.map_err(|error| self.broken(error))?;
        // Its errors come out of the requests, too.
        tokio::spawn(connection);
        self.lock().shared = Some((shared.clone(), Instant::now()));
        let this = self.clone();
        tokio::spawn(async move { this.end_when_idle().await });
        Ok(shared)
    }

    async fn speak_alone(&self, stream: TlsStream<TcpStream>) -> Result<Http1, SendError> {
        let mut settings = http1::Builder::new();
        settings.max_buf_size(usize::try_from(HEAD_BYTES_MAX).unwrap_or(usize::MAX));
        let shaken = settings.handshake(TokioIo::new(stream)).await;
        let (alone, connection) = shaken.map_err(|error| self.broken(error))?;
        // Its errors come out of the requests, too.
        tokio::spawn(connection);
        Ok(alone)
    }

    async fn send_shared(
        &self,
        mut shared: Http2,
        request: Unsent,
    ) -> Result<Result<Response<Body>, Unsent>, SendError> {
        match shared.try_send_request(*request).await {
            Ok(response) => Ok(Ok(response.map(Body::of))),
            Err(mut error) => match error.take_message() {
                Some(unsent) => Ok(Err(Box::new(unsent))),
                None => Err(self.broken(error.into_error())),
            },
        }
    }

    async fn send_alone(
        self: &Arc<Self>,
        mut alone: Http1,
        request: Unsent,
        place: &mut Option<SemaphoreGuardArc>,
    ) -> Result<Result<Response<Body>, Unsent>, SendError> {
        let uri = request.uri().clone();
        if alone.ready().await.is_err() {
            return Ok(Err(request));
        }
        match alone.try_send_request(for_one(*request)).await {
            Ok(response) => {
                self.keep(alone, place.take());
                Ok(Ok(response.map(Body::of::<Incoming, _>)))
            }
            Err(mut error) => match error.take_message() {
                Some(mut unsent) => {
                    *unsent.uri_mut() = uri;
                    Ok(Err(Box::new(unsent)))
                }
                None => Err(self.broken(error.into_error())),
            },
        }
    }

    /// Keeps a connection for the next request, once the answer is read to its end.
    fn keep(self: &Arc<Self>, mut alone: Http1, place: Option<SemaphoreGuardArc>) {
        let this = self.clone();
        tokio::spawn(async move {
            let ready = alone.ready().await.is_ok();
            drop(place);
            if ready {
                this.lock().idle.push((alone, Instant::now()));
                tokio::time::sleep(IDLE).await;
                this.lock().idle.retain(|(alone, since)| !alone.is_closed() && since.elapsed() < IDLE);
            }
        });
    }

    /// Lets the shared connection go when nobody has used it for a while; what is under way comes to its end.
    async fn end_when_idle(&self) {
        loop {
            tokio::time::sleep(IDLE).await;
            let mut open = self.lock();
            let Some((shared, used)) = &open.shared else { return };
            if shared.is_closed() || used.elapsed() >= IDLE {
                open.shared = None;
                return;
            }
        }
    }

    fn broken(&self, error: impl std::fmt::Display) -> SendError {
        SendError::Broken { address: self.endpoint.address, reason: error.to_string() }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const IDLE: Duration = Duration::from_millis(IDLE_CONNECTION_MS);

/// A request as HTTP/1.1 has it: the path alone, and the host in a header.
fn for_one(mut request: Request<Message>) -> Request<Message> {
    let uri = request.uri().clone();
    if let Some(host) = uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(path) = uri.path_and_query() {
        *request.uri_mut() = Uri::from(path.clone());
    }
    request
}
