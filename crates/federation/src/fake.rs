//! A network in memory, for tests and simulations: hosts with names, certificates and handlers, and everything that
//! can go wrong between them.
//!
//! ```
//! use std::sync::Arc;
//!
//! use freehold_federation::fake::{Network, answer};
//! use freehold_federation::{Endpoint, Transport};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let network = Network::default();
//! let address = network.host("matrix.example.org", 8448, |_| answer(200, r#"{"server":{}}"#));
//!
//! let endpoint = Endpoint { address, certificate_name: "matrix.example.org".to_owned() };
//! let request = hyper::Request::get("https://matrix.example.org:8448/_matrix/federation/v1/version");
//! let response = network.send(&endpoint, request.body(Default::default()).unwrap()).await.unwrap();
//! assert_eq!(response.status(), 200);
//! # }
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_store::{BoxFuture, Clock};
use hyper::body::Bytes;
use hyper::{Request, Response};

use crate::limits::CONNECT_TIME_MS;
use crate::randomness::Randomness;
use crate::transport::{Body, Endpoint, Looked, LookupError, SendError, SrvRecord, Transport};

/// What a host does with a request.
pub type Handler = Arc<dyn Fn(Request<Bytes>) -> BoxFuture<'static, Response<Bytes>> + Send + Sync>;

/// A network in memory. Clones are the same network.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    addresses: BTreeMap<String, Vec<IpAddr>>,
    srv: BTreeMap<String, Vec<SrvRecord>>,
    txt: BTreeMap<String, Vec<String>>,
    /// Names for which the DNS does not answer.
    dead_names: BTreeSet<String>,
    hosts: BTreeMap<SocketAddr, Host>,
    troubles: BTreeMap<SocketAddr, Trouble>,
    latency: Duration,
    given: u32,
    log: Vec<Sent>,
    lookups: Vec<String>,
    connections: usize,
}

struct Host {
    names: BTreeSet<String>,
    handler: Handler,
}

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Connections are refused.
    Refuses,
    /// Nothing ever comes back.
    Hangs,
    /// Requests are taken, and the connection breaks before the answer.
    Breaks,
}

/// A request that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Where to.
    pub endpoint: Endpoint,
    /// Method, URI, headers and body.
    pub request: Request<Bytes>,
}

/// For how long the names of the network are valid, in milliseconds.
const TTL_MS: i64 = 300_000;

impl Network {
    /// Puts a host with a name and a certificate for it on the network; gives its address.
    pub fn host(
        &self,
        name: &str,
        port: u16,
        handler: impl Fn(Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) -> SocketAddr {
        let handler: Handler = Arc::new(move |request| Box::pin(std::future::ready(handler(request))));
        self.serve(name, port, handler)
    }

    /// The same with a handler that takes its time. A name that has an address already keeps it.
    pub fn serve(&self, name: &str, port: u16, handler: Handler) -> SocketAddr {
        let known = self.lock().addresses.get(name).and_then(|addresses| addresses.first().copied());
        let address = SocketAddr::new(known.unwrap_or_else(|| self.new_address()), port);
        self.address(name, &[address.ip()]);
        self.serve_at(address, &[name], handler);
        address
    }

    /// Puts a host at an address, with a certificate for some names.
    pub fn serve_at(&self, address: SocketAddr, names: &[&str], handler: Handler) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.lock().hosts.insert(address, Host { names, handler });
    }

    /// Sets the addresses of a name.
    pub fn address(&self, name: &str, addresses: &[IpAddr]) {
        self.lock().addresses.insert(name.to_owned(), addresses.to_vec());
    }

    /// Adds an SRV record with priority 10 and weight 1.
    pub fn srv_record(&self, name: &str, target: &str, port: u16) {
        let record = SrvRecord { priority: 10, weight: 1, target: target.to_owned(), port };
        self.lock().srv.entry(name.to_owned()).or_default().push(record);
    }

    /// Adds a TXT record.
    pub fn txt_record(&self, name: &str, text: &str) {
        self.lock().txt.entry(name.to_owned()).or_default().push(text.to_owned());
    }

    /// Removes all records of a name.
    pub fn forget_name(&self, name: &str) {
        let mut state = self.lock();
        state.addresses.remove(name);
        state.srv.remove(name);
        state.txt.remove(name);
    }

    /// Has the DNS not answer for a name any more.
    pub fn kill_name(&self, name: &str) {
        self.lock().dead_names.insert(name.to_owned());
    }

    /// Has the DNS answer for a name again.
    pub fn revive_name(&self, name: &str) {
        self.lock().dead_names.remove(name);
    }

    /// Makes trouble at an address.
    pub fn trouble(&self, address: SocketAddr, trouble: Trouble) {
        self.lock().troubles.insert(address, trouble);
    }

    /// Ends the trouble at an address.
    pub fn heal(&self, address: SocketAddr) {
        self.lock().troubles.remove(&address);
    }

    /// Sets how long everything takes: a lookup once, a request there and back.
    pub fn latency(&self, time: Duration) {
        self.lock().latency = time;
    }

    /// An address of the internet that nobody has.
    pub fn new_address(&self) -> IpAddr {
        let mut state = self.lock();
        state.given += 1;
        // 8.0.0.0/8 is of the internet, and large enough.
        IpAddr::V4(Ipv4Addr::from_bits(0x0800_0000 + state.given))
    }

    /// The requests that were sent since this was last asked.
    pub fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.lock().log)
    }

    /// The names that were looked up since this was last asked.
    pub fn looked_up(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().lookups)
    }

    /// How often somebody asked for a connection, without a request, since this was last asked.
    pub fn connected(&self) -> usize {
        std::mem::take(&mut self.lock().connections)
    }

    async fn look_up<T>(&self, name: &str, find: impl FnOnce(&State) -> Option<Vec<T>>) -> Found<T> {
        let (latency, found) = {
            let mut state = self.lock();
            state.lookups.push(name.to_owned());
            let dead = state.dead_names.contains(name);
            (state.latency, if dead { None } else { Some(find(&state).unwrap_or_default()) })
        };
        take(latency).await;
        let dead = || LookupError { name: name.to_owned(), reason: "SERVFAIL".to_owned() };
        found.map(|records| Looked { records, valid_ms: TTL_MS }).ok_or_else(dead)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<(), SendError> {
        let address = endpoint.address;
        let (latency, trouble, is_there) = {
            let mut state = self.lock();
            state.connections += 1;
            (state.latency, state.troubles.get(&address).copied(), state.hosts.contains_key(&address))
        };
        take(latency).await;
        match trouble {
            Some(Trouble::Hangs) => {
                tokio::time::sleep(Duration::from_millis(CONNECT_TIME_MS)).await;
                Err(SendError::Connect { address, reason: "no connection in time".to_owned() })
            }
            Some(Trouble::Breaks) | None if is_there => Ok(()),
            _ => Err(SendError::Connect { address, reason: "connection refused".to_owned() }),
        }
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, SendError> {
        let address = endpoint.address;
        let (latency, trouble, handler) = {
            let mut state = self.lock();
            state.log.push(Sent { endpoint: endpoint.clone(), request: request.clone() });
            let host = state.hosts.get(&address);
            let handler = host
                .map(|host| host.names.contains(&endpoint.certificate_name).then(|| host.handler.clone()));
            (state.latency, state.troubles.get(&address).copied(), handler)
        };
        take(latency).await;
        let reason = |reason: &str| reason.to_owned();
        match (trouble, handler) {
            (Some(Trouble::Hangs), _) => std::future::pending().await,
            (Some(Trouble::Refuses), _) | (None, None) => {
                Err(SendError::Connect { address, reason: reason("connection refused") })
            }
            (_, Some(None)) => Err(SendError::Tls {
                address,
                certificate_name: endpoint.certificate_name.clone(),
                reason: reason("the certificate is for other names"),
            }),
            (Some(Trouble::Breaks), _) => {
                Err(SendError::Broken { address, reason: reason("connection reset") })
            }
            (None, Some(Some(handler))) => {
                let response = handler(request).await;
                take(latency).await;
                Ok(response.map(Body::full))
            }
        }
    }
}

type Found<T> = Result<Looked<T>, LookupError>;

/// Lets time pass. What takes none waits for no timer.
async fn take(time: Duration) {
    match time.is_zero() {
        true => tokio::task::yield_now().await,
        false => tokio::time::sleep(time).await,
    }
}

impl Transport for Network {
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Found<IpAddr>> {
        Box::pin(self.look_up(host, move |state| state.addresses.get(host).cloned()))
    }

    fn srv<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Found<SrvRecord>> {
        Box::pin(self.look_up(name, move |state| state.srv.get(name).cloned()))
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Found<String>> {
        Box::pin(self.look_up(name, move |state| state.txt.get(name).cloned()))
    }

    fn open<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.connect(endpoint))
    }

    fn send<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        request: Request<Bytes>,
    ) -> BoxFuture<'a, Result<Response<Body>, SendError>> {
        Box::pin(self.exchange(endpoint, request))
    }
}

/// An answer with a body.
pub fn answer(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// A clock that follows the time of the runtime, which tests can pause and have jump.
#[derive(Clone, Debug)]
pub struct RuntimeClock {
    start_ts: i64,
    start: tokio::time::Instant,
}

impl RuntimeClock {
    /// A clock that shows `start_ts` (milliseconds since the Unix epoch) now.
    pub fn new(start_ts: i64) -> Self {
        RuntimeClock { start_ts, start: tokio::time::Instant::now() }
    }
}

impl Clock for RuntimeClock {
    fn now_ts(&self) -> i64 {
        let elapsed = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.start_ts.saturating_add(elapsed)
    }
}

/// Randomness that is the same on every run (`SplitMix64`).
#[derive(Debug)]
pub struct Seeded(AtomicU64);

impl Seeded {
    /// Randomness from a seed.
    pub fn new(seed: u64) -> Self {
        Seeded(AtomicU64::new(seed))
    }
}

impl Randomness for Seeded {
    fn next(&self) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
