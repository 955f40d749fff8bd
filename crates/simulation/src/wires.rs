//! The network between processes: every link has its own delays, can be cut, loses answers and delivers twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_federation::fake::{Handler, Network};
use freehold_federation::http::{Request, Response};
use freehold_federation::{Body, Endpoint, Looked, LookupError, SendError, SrvRecord, Transport};
use freehold_store::BoxFuture;
use freehold_testkit::Rng;
use hyper::body::Bytes;

use crate::ledger::Ledger;
use crate::life::Life;
use crate::trace::{Trace, digest};

/// A process by its number.
pub(crate) type Place = usize;

/// The port on which everybody serves.
pub(crate) const PORT: u16 = 8448;

/// The network. Clones are the same.
#[derive(Clone)]
pub(crate) struct Wires(Arc<Inner>);

struct Inner {
    network: Network,
    state: Mutex<State>,
    trace: Trace,
    ledger: Ledger,
}

struct State {
    rng: Rng,
    weather: Weather,
    /// Pairs of processes that do not reach each other, the lower number first.
    cut: BTreeSet<(Place, Place)>,
    places: BTreeMap<SocketAddr, Place>,
    lives: BTreeMap<Place, Life>,
    /// How many requests each process sent.
    sent: BTreeMap<Place, u64>,
}

/// What the network does to every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// The longest that a request takes in one direction, in milliseconds.
    pub(crate) delay_ms: usize,
    /// How many of a hundred requests are delivered a second time, some time later.
    pub(crate) repeated_percent: usize,
    /// How many of a hundred answers get lost.
    pub(crate) lost_percent: usize,
}

impl Weather {
    /// Short delays, and nothing gets lost.
    pub(crate) const FAIR: Weather = Weather { delay_ms: 20, repeated_percent: 0, lost_percent: 0 };
}

/// What becomes of one request.
struct Fate {
    there: Duration,
    back: Duration,
    repeated: Option<Duration>,
    is_lost: bool,
    /// Whether a link that is cut says nothing at all, or that there is no way.
    hangs: bool,
}

impl Wires {
    pub(crate) fn new(rng: Rng, trace: Trace, ledger: Ledger) -> Self {
        let state = State {
            rng,
            weather: Weather::FAIR,
            cut: BTreeSet::new(),
            places: BTreeMap::new(),
            lives: BTreeMap::new(),
            sent: BTreeMap::new(),
        };
        Wires(Arc::new(Inner { network: Network::default(), state: Mutex::new(state), trace, ledger }))
    }

    /// Puts a process on the network under some names, or the next run of one that was there.
    pub(crate) fn serve(&self, place: Place, (names, life): (&[String], Life), handler: &Handler) {
        for name in names {
            let address = self.0.network.serve(name, PORT, handler.clone());
            self.lock().places.insert(address, place);
        }
        self.lock().lives.insert(place, life);
    }

    /// The end of the network that belongs to one run of a process.
    pub(crate) fn link(&self, from: Place, life: Life) -> Link {
        Link { wires: self.clone(), from, life }
    }

    /// Changes what the network does to requests.
    pub(crate) fn weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    /// Cuts the link between two processes.
    pub(crate) fn cut(&self, one: Place, other: Place) {
        self.lock().cut.insert(pair(one, other));
    }

    /// Heals the link between two processes.
    pub(crate) fn heal(&self, one: Place, other: Place) {
        self.lock().cut.remove(&pair(one, other));
    }

    /// Heals all links.
    pub(crate) fn heal_all(&self) {
        self.lock().cut.clear();
    }

    /// How many requests a process sent.
    pub(crate) fn sent_by(&self, place: Place) -> u64 {
        self.lock().sent.get(&place).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, from: Place) -> Fate {
        let mut state = self.lock();
        *state.sent.entry(from).or_default() += 1;
        let weather = state.weather;
        let rng = &mut state.rng;
        // Most requests are fast, some take as long as it gets.
        let most = if rng.chance(10) { weather.delay_ms } else { weather.delay_ms / 8 + 1 };
        let mut delay = || Duration::from_millis(1 + rng.below(most) as u64);
        let (there, back, later) = (delay(), delay(), delay());
        let repeated = rng.chance(weather.repeated_percent).then(|| later * 20);
        Fate { there, back, repeated, is_lost: rng.chance(weather.lost_percent), hangs: rng.chance(30) }
    }

    /// The process at an address, if it runs and is reached from another.
    fn reached(&self, from: Place, address: SocketAddr) -> Option<(Place, Life)> {
        let state = self.lock();
        let place = *state.places.get(&address)?;
        let life = state.lives.get(&place).filter(|life| !life.is_over())?.clone();
        (!state.cut.contains(&pair(from, place))).then_some((place, life))
    }

    /// Delivers a request, and gives the answer, unless who is asked dies over it.
    async fn deliver(
        &self,
        life: &Life,
        endpoint: &Endpoint,
        request: Request<Bytes>,
    ) -> Option<Result<Response<Bytes>, SendError>> {
        let answered = life.during(self.0.network.send(endpoint, request)).await;
        // The network keeps a log, which nobody reads here.
        drop(self.0.network.sent());
        match answered? {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let body = body.collect().await.unwrap_or_default();
                Some(Ok(Response::from_parts(head, body)))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

fn pair(one: Place, other: Place) -> (Place, Place) {
    (one.min(other), one.max(other))
}

/// The end of the network that belongs to one run of a process: a dead process hears nothing any more.
pub(crate) struct Link {
    wires: Wires,
    from: Place,
    life: Life,
}

impl Link {
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, SendError> {
        let fate = self.wires.fate(self.from);
        let address = endpoint.address;
        let broken = |reason: &str| SendError::Broken { address, reason: reason.to_owned() };
        tokio::time::sleep(fate.there).await;
        if self.life.is_over() {
            return std::future::pending().await;
        }
        let Some((to, other)) = self.wires.reached(self.from, address) else {
            return self.unreached(&fate, address).await;
        };
        let said = Said::of(&request);
        self.wires.0.ledger.told(self.from, &said.host, request.body());
        if let Some(later) = fate.repeated {
            self.repeat(later, &other, (endpoint.clone(), request.clone()));
        }
        let answer = self.wires.deliver(&other, endpoint, request).await;
        tokio::time::sleep(fate.back).await;
        if self.life.is_over() {
            return std::future::pending().await;
        }
        let Some(answer) = answer else { return Err(broken("the process died")) };
        let answer = answer?;
        self.note(to, &said, &answer);
        self.wires.0.ledger.told(to, &said.origin, answer.body());
        if fate.is_lost || self.wires.reached(self.from, address).is_none() {
            return Err(broken("the answer got lost"));
        }
        Ok(answer.map(Body::full))
    }

    async fn unreached(&self, fate: &Fate, address: SocketAddr) -> Result<Response<Body>, SendError> {
        if fate.hangs {
            return std::future::pending().await;
        }
        Err(SendError::Connect { address, reason: "no way".to_owned() })
    }

    fn repeat(&self, later: Duration, other: &Life, (endpoint, request): (Endpoint, Request<Bytes>)) {
        let (wires, other) = (self.wires.clone(), other.clone());
        tokio::spawn(async move {
            tokio::time::sleep(later).await;
            drop(wires.deliver(&other, &endpoint, request).await);
        });
    }

    fn note(&self, to: Place, said: &Said, answer: &Response<Bytes>) {
        let (from, status) = (self.from, answer.status().as_u16());
        let Said { what, origin, host, bytes } = said;
        let answered = digest(answer.body());
        self.wires.0.trace.note(format!(
            "p{from} -> p{to} {origin} -> {host}: {what} {bytes:016x} = {status} {answered:016x}"
        ));
    }
}

/// What is told of a request.
struct Said {
    what: String,
    origin: String,
    host: String,
    bytes: u64,
}

impl Said {
    fn of(request: &Request<Bytes>) -> Self {
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let origin = authorization.and_then(|value| {
            let (_, rest) = value.split_once("origin=")?;
            rest.trim_start_matches('"').split(['"', ',']).next()
        });
        Said {
            what: format!("{} {path}", request.method()),
            origin: origin.unwrap_or("anybody").to_owned(),
            host: request.uri().host().unwrap_or_default().to_owned(),
            bytes: digest(request.body()),
        }
    }
}

impl Transport for Link {
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Looked<IpAddr>, LookupError>> {
        self.wires.0.network.addresses(host)
    }

    fn srv<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Looked<SrvRecord>, LookupError>> {
        self.wires.0.network.srv(name)
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Looked<String>, LookupError>> {
        self.wires.0.network.txt(name)
    }

    fn send<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        request: Request<Bytes>,
    ) -> BoxFuture<'a, Result<Response<Body>, SendError>> {
        Box::pin(self.exchange(endpoint, request))
    }
}
