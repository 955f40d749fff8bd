//! Connections, from being accepted to their last answer.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::places::{Place, Places};
use super::socket::{Accepted, Socket};
use super::watched::{Patience, Watched};
use super::{ListenerFacts, Peer};
use crate::stop::Stop;

/// A socket with what is served on it.
pub(crate) struct Serving {
    pub(crate) socket: Socket,
    pub(crate) facts: Arc<ListenerFacts>,
    pub(crate) routes: Router,
    /// What begins TLS; without it, plain HTTP is spoken.
    pub(crate) tls: Option<TlsAcceptor>,
    /// How many connections there may be.
    pub(crate) places: Places,
    /// For how long nothing may come or go on one.
    pub(crate) idle: Duration,
}

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests may go on after the server was asked to stop: with what follows, it is down in five seconds.
const LAST_REQUESTS: Duration = Duration::from_secs(3);
/// How long nothing is accepted after the system had no more descriptors.
const NO_DESCRIPTORS: Duration = Duration::from_millis(100);
/// Read buffer of a connection: heads of requests fit, and idle connections stay small.
const BUFFER_BYTES: usize = 16 * 1024;

impl Serving {
    /// Serves connections until it is time to stop; then lets running requests end.
    pub(crate) async fn run(self, stop: Stop) {
        let graceful = GracefulShutdown::new();
        let http = http();
        loop {
            // Who finds no place waits in the queue of the system.
            let accepted = tokio::select! {
                accepted = async { (self.places.one().await, self.socket.accept().await) } => accepted,
                () = stop.asked() => break,
            };
            match accepted.1 {
                Ok(stream) => match self.places.give(accepted.0, stream.address()) {
                    Some(place) => self.begin((stream, place), &http, &graceful),
                    None => tracing::debug!(address = ?stream.address(), "too many connections"),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(NO_DESCRIPTORS).await;
                }
            }
        }
        let Serving { socket, .. } = self;
        drop(socket);
        if tokio::time::timeout(LAST_REQUESTS, graceful.shutdown()).await.is_err() {
            tracing::info!("some requests were cut off");
        }
    }

    fn begin(
        &self,
        (accepted, place): (Accepted, Place),
        http: &Builder<TokioExecutor>,
        graceful: &GracefulShutdown,
    ) {
        let connection = Connection {
            _place: place,
            patience: Patience { first: HEAD_TIMEOUT, idle: self.idle },
            http: http.clone(),
            watcher: graceful.watcher(),
            routes: self.routes.clone(),
            peer: Peer { address: None, sni: None, listener: self.facts.clone() },
        };
        match (accepted, self.tls.clone()) {
            (Accepted::Unix(stream), _) => {
                tokio::spawn(connection.serve(stream));
            }
            (Accepted::Tcp(stream, address), None) => {
                tokio::spawn(connection.from(address).serve(stream));
            }
            (Accepted::Tcp(stream, address), Some(tls)) => {
                tokio::spawn(connection.from(address).serve_tls(stream, tls));
            }
        }
    }
}

/// A connection that was accepted.
struct Connection {
    _place: Place,
    patience: Patience,
    http: Builder<TokioExecutor>,
    watcher: Watcher,
    routes: Router,
    peer: Peer,
}

impl Connection {
    fn from(mut self, address: IpAddr) -> Self {
        self.peer.address = Some(address);
        self
    }

    async fn serve_tls(mut self, stream: TcpStream, tls: TlsAcceptor) {
        match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                self.peer.sni = stream.get_ref().1.server_name().map(Arc::from);
                self.serve(stream).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "TLS did not begin"),
            Err(_) => tracing::debug!("TLS did not begin in time"),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let Connection { _place, patience, http, watcher, routes, peer } = self;
        let service = service_fn(move |request| answer(routes.clone(), peer.clone(), request));
        let served = http.serve_connection(TokioIo::new(Watched::new(stream, patience)), service);
        if let Err(error) = watcher.watch(served.into_owned()).await {
            tracing::debug!(error, "a connection broke");
        }
    }
}

async fn answer(
    routes: Router,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    request.extensions_mut().insert(peer);
    routes.oneshot(request.map(Body::new)).await
}

fn http() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .keep_alive(true);
    http.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
    http
}
