//! Carries out plans, and remembers what came of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use freehold_store::Clock;
use ruma_common::{OwnedServerName, ServerName};

use super::cache::{Cache, Remembered, Validity, doubled};
use super::error::DiscoveryError;
use super::plan::{Ask, Plan, Told, Turn};
use super::srv_order::ordered;
use super::step::Target;
use super::web::Web;
use super::well_known::{self, Delegation, WellKnownError};
use crate::limits::{
    LOOKUP_TIME_MS, NOT_FOUND_MAX_MS, NOT_FOUND_MIN_MS, TARGET_MAX_MS, TARGET_MIN_MS, TARGET_STALE_MS,
    TARGETS_MAX, WELL_KNOWN_ERROR_MAX_MS, WELL_KNOWN_ERROR_MIN_MS, WELL_KNOWN_HOSTS_MAX, WELL_KNOWN_MAX_MS,
};
use crate::randomness::Randomness;
use crate::transport::{LookupError, SrvRecord};

/// Finds servers by their names, and remembers where they are.
///
/// What was found is used past its time while it is looked for anew, so that nobody waits for a slow name server twice;
/// what was not found is not looked for at every request.
#[derive(Clone)]
pub struct Discovery(Arc<Inner>);

/// What a [`Discovery`] is made of.
pub struct DiscoveryParts {
    /// The web, for well-known documents, over the network whose DNS is asked.
    pub web: Web,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Orders SRV records of equal priority, and spreads retries.
    pub randomness: Arc<dyn Randomness>,
}

struct Inner {
    parts: DiscoveryParts,
    delegations: Cache<OwnedServerName, WellKnownError>,
    targets: Cache<Arc<Target>, DiscoveryError>,
    /// Who is being looked for; everybody else who looks for the same waits.
    searches: Mutex<BTreeMap<OwnedServerName, Sought>>,
}

#[derive(Default)]
struct Sought {
    seekers: usize,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// How one plan was carried out.
pub(crate) struct Walk {
    pub(crate) result: Result<Target, DiscoveryError>,
    pub(crate) trail: Vec<Sight>,
    /// For how long the names led there; a failure on the way makes it short.
    valid_ms: i64,
}

/// One question on the way, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    WellKnown { host: String, answer: Result<OwnedServerName, WellKnownError> },
    Srv { name: String, answer: Result<Vec<SrvRecord>, LookupError> },
    Addresses { host: String, answer: Result<Vec<std::net::IpAddr>, DiscoveryError> },
}

/// Whether what is remembered of delegations counts.
#[derive(Clone, Copy)]
pub(crate) enum Memory {
    Used,
    LeftAside,
}

impl Discovery {
    /// A discovery that remembers nothing yet.
    pub fn new(parts: DiscoveryParts) -> Self {
        Discovery(Arc::new(Inner {
            parts,
            delegations: Cache::new(WELL_KNOWN_HOSTS_MAX),
            targets: Cache::new(TARGETS_MAX),
            searches: Mutex::default(),
        }))
    }

    /// Finds a server.
    ///
    /// # Errors
    /// [`DiscoveryError`]; it may be remembered from an earlier attempt.
    pub async fn find(&self, server_name: &ServerName) -> Result<Arc<Target>, DiscoveryError> {
        match self.remembered(server_name) {
            Remembered::Fresh(target) => Ok(target),
            Remembered::Failed(error) => Err(error),
            Remembered::Stale(target) => {
                self.renew(server_name);
                Ok(target)
            }
            Remembered::Nothing => self.search(server_name).await,
        }
    }

    /// Has a server looked for anew when it is asked for next, because it was not where it should be.
    pub fn doubt(&self, server_name: &ServerName) {
        self.0.targets.doubt(server_name.as_str(), self.0.parts.clock.now_ts());
    }

    /// The web over which delegations are fetched.
    pub fn web(&self) -> &Web {
        &self.0.parts.web
    }

    /// How many servers are being looked for.
    pub fn searches(&self) -> usize {
        self.0.searches.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Carries out the plan for a server, without remembering where it is.
    pub(crate) async fn walk(&self, server_name: &ServerName, memory: Memory) -> Walk {
        self.0.walk(server_name, memory).await
    }

    fn remembered(&self, server_name: &ServerName) -> Remembered<Arc<Target>, DiscoveryError> {
        self.0.targets.get(server_name.as_str(), self.0.parts.clock.now_ts())
    }

    /// Looks for a server, or waits for who does. Somebody who gives up waiting does not end the search: what comes of it is
    /// remembered for the next one, also that there is nothing.
    async fn search(&self, server_name: &ServerName) -> Result<Arc<Target>, DiscoveryError> {
        let search = Search::of(&self.0, server_name);
        let turn = search.turn().lock_owned().await;
        match self.remembered(server_name) {
            Remembered::Fresh(target) | Remembered::Stale(target) => return Ok(target),
            Remembered::Failed(error) => return Err(error),
            Remembered::Nothing => {}
        }
        let found = tokio::spawn(async move {
            let found = search.0.find_anew(&search.1).await;
            drop(turn);
            found
        });
        let gone = |_| DiscoveryError::NoAddress { host: server_name.host().to_owned() };
        found.await.map_err(gone)?
    }

    /// Looks for a server in the background, unless somebody does already.
    fn renew(&self, server_name: &ServerName) {
        let search = Search::of(&self.0, server_name);
        tokio::spawn(async move {
            if let Ok(_turn) = search.turn().try_lock_owned()
                && let Err(error) = search.0.find_anew(&search.1).await
            {
                tracing::debug!(server_name = %search.1, %error, "a server is not found any more");
            }
        });
    }
}

/// One of those who look for a server; the last one leaves nothing behind, also one that gives up.
struct Search(Arc<Inner>, OwnedServerName);

impl Search {
    fn of(inner: &Arc<Inner>, server_name: &ServerName) -> Self {
        let mut searches = inner.searches.lock().unwrap_or_else(PoisonError::into_inner);
        searches.entry(server_name.to_owned()).or_default().seekers += 1;
        Search(Arc::clone(inner), server_name.to_owned())
    }

    /// Who has it looks; the others wait.
    fn turn(&self) -> Arc<tokio::sync::Mutex<()>> {
        let mut searches = self.0.searches.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&searches.entry(self.1.clone()).or_default().turn)
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        let mut searches = self.0.searches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sought) = searches.get_mut(&self.1) {
            sought.seekers -= 1;
            if sought.seekers == 0 {
                searches.remove(&self.1);
            }
        }
    }
}

impl Inner {
    async fn find_anew(&self, server_name: &ServerName) -> Result<Arc<Target>, DiscoveryError> {
        let walk = self.walk(server_name, Memory::Used).await;
        let now_ts = self.parts.clock.now_ts();
        let name = server_name.as_str();
        match walk.result {
            Ok(target) => {
                let target = Arc::new(target);
                let fresh_ms = walk.valid_ms.clamp(TARGET_MIN_MS, TARGET_MAX_MS);
                let validity = Validity { fresh_ms, stale_ms: TARGET_STALE_MS };
                self.targets.found(name, target.clone(), validity, now_ts);
                Ok(target)
            }
            Err(error) => {
                let wait = |times| self.spread(doubled(times, NOT_FOUND_MIN_MS, NOT_FOUND_MAX_MS));
                self.targets.failed(name, error.clone(), wait, now_ts);
                Err(error)
            }
        }
    }

    async fn walk(&self, server_name: &ServerName, memory: Memory) -> Walk {
        let mut plan = Plan::new(server_name);
        let mut walk = Walk {
            result: Err(DiscoveryError::NoAddress { host: server_name.host().to_owned() }),
            trail: Vec::new(),
            valid_ms: i64::MAX,
        };
        loop {
            let sight = match plan.turn() {
                Turn::Found(target) => {
                    walk.result = Ok(target);
                    break;
                }
                Turn::Failed(error) => {
                    walk.result = Err(error);
                    break;
                }
                Turn::Ask(Ask::WellKnown { host }) => {
                    let answer = self.delegation(&host, memory).await;
                    Sight::WellKnown { host, answer }
                }
                Turn::Ask(Ask::Srv { name }) => self.srv(name, &mut walk.valid_ms).await,
                Turn::Ask(Ask::Addresses { host }) => self.addresses(host, &mut walk.valid_ms).await,
            };
            plan.told(sight.told());
            walk.trail.push(sight);
        }
        if plan.is_doubtful() {
            walk.valid_ms = 0;
        }
        walk
    }

    async fn srv(&self, name: String, valid_ms: &mut i64) -> Sight {
        let time = Duration::from_millis(LOOKUP_TIME_MS);
        let looked = tokio::time::timeout(time, self.parts.web.transport().srv(&name)).await;
        let late = || LookupError { name: name.clone(), reason: "no answer in time".to_owned() };
        let answer = looked.unwrap_or_else(|_| Err(late())).map(|looked| {
            *valid_ms = looked.valid_ms.min(*valid_ms);
            ordered(looked.records, &*self.parts.randomness)
        });
        Sight::Srv { name, answer }
    }

    async fn addresses(&self, host: String, valid_ms: &mut i64) -> Sight {
        let answer = self.parts.web.addresses(&host).await.map(|looked| {
            *valid_ms = looked.valid_ms.min(*valid_ms);
            looked.records
        });
        Sight::Addresses { host, answer }
    }

    async fn delegation(&self, host: &str, memory: Memory) -> Result<OwnedServerName, WellKnownError> {
        let now_ts = self.parts.clock.now_ts();
        if let Memory::LeftAside = memory {
            let fetched = well_known::fetch(&self.parts.web, host, now_ts).await;
            return fetched.map(|delegation| delegation.server_name);
        }
        let before = match self.delegations.get(host, now_ts) {
            Remembered::Fresh(name) => return Ok(name),
            Remembered::Failed(error) => return Err(error),
            Remembered::Stale(name) => Some(name),
            Remembered::Nothing => None,
        };
        let fetched = well_known::fetch(&self.parts.web, host, now_ts).await;
        let now_ts = self.parts.clock.now_ts();
        match fetched {
            Ok(Delegation { server_name, valid_ms }) => {
                // Past its time it is used while nothing better is to be had, 48 hours in all.
                let stale_ms = WELL_KNOWN_MAX_MS - valid_ms;
                let validity = Validity { fresh_ms: valid_ms, stale_ms };
                self.delegations.found(host, server_name.clone(), validity, now_ts);
                Ok(server_name)
            }
            Err(error) if error.is_definite() => {
                self.delegations.gone(host, error.clone(), WELL_KNOWN_ERROR_MAX_MS, now_ts);
                Err(error)
            }
            Err(error) => {
                let wait =
                    |times| self.spread(doubled(times, WELL_KNOWN_ERROR_MIN_MS, WELL_KNOWN_ERROR_MAX_MS));
                self.delegations.failed(host, error.clone(), wait, now_ts);
                before.ok_or(error)
            }
        }
    }

    /// A time a little shorter or as long, so that not everything is tried at the same moment.
    fn spread(&self, time_ms: i64) -> i64 {
        self.parts.randomness.around(time_ms).min(time_ms)
    }
}

impl Sight {
    fn told(&self) -> Told {
        match self {
            Sight::WellKnown { answer, .. } => Told::WellKnown(answer.as_ref().ok().cloned()),
            Sight::Srv { answer, .. } => Told::Srv(answer.clone()),
            Sight::Addresses { answer, .. } => Told::Addresses(answer.clone()),
        }
    }
}
