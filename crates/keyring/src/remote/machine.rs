//! The machine that fetches and remembers the keys of other servers, without doing any I/O.

use std::collections::{BTreeMap, VecDeque};

use freehold_signing::{KeyId, KeySource, KeyValidity, PreparedKeys, PublishedKey, VALIDITY_AHEAD_MAX_MS};
use ruma_common::{OwnedServerName, ServerName};

use super::{
    batch::NotaryState,
    known::{Finding, KnownServer},
    policy::{FetchPolicy, Notary},
    queue::DirectQueue,
};

/// The keys of other servers: a cache, and the plan of how to fill it.
///
/// A verification that lacks a key calls [`need`](Self::need); the caller performs what
/// [`poll`](Self::poll) says, hands the results to [`loaded`](Self::loaded) and
/// [`fetched`](Self::fetched), and wakes the verification when told so. For each server the store is
/// asked first, then the server itself, then the notaries in turn, until every waiting verification
/// has its key; for many servers at once ([`Route::NotariesFirst`]) the notaries come before them.
///
/// An identifier keeps its first key for ever; that survives a restart because the caller stores
/// what [`Action::Save`] says. All times are Unix milliseconds and given by the caller.
#[derive(Debug)]
pub struct RemoteKeys {
    pub(super) policy: FetchPolicy,
    pub(super) notaries: Vec<NotaryState>,
    pub(super) servers: BTreeMap<OwnedServerName, Server>,
    /// INVARIANT: one entry per server, under its `used`.
    pub(super) by_use: BTreeMap<u64, OwnedServerName>,
    /// INVARIANT: the sum of `bytes` over all servers.
    pub(super) bytes: usize,
    pub(super) in_flight: BTreeMap<FetchId, InFlight>,
    pub(super) direct_queue: DirectQueue,
    pub(super) actions: VecDeque<Action>,
    counter: u64,
    prepared: PreparedKeys,
}

/// A key, or a whole document, that somebody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want<'a> {
    /// The server whose key it is.
    pub server: &'a ServerName,
    /// The key; `None` for the document, as a notary serves it.
    pub key_id: Option<&'a KeyId>,
    /// Until when the key must be valid at least: the `origin_server_ts` of an event, the present
    /// for a request, 0 where validity does not matter (events of room versions 1 to 4).
    pub minimum_valid_until_ts: i64,
    /// Who may be asked.
    pub route: Route,
}

/// Who may be asked for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The server, then the notaries.
    Any,
    /// The notaries, then the server: for keys of many servers at once, each of which would take a connection of its own.
    NotariesFirst,
    /// The server only, as when acting as a notary oneself.
    Direct,
}

/// What became of a [`RemoteKeys::need`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// It is there; ask the [`KeySource`].
    Ready,
    /// It may come; [`Action::Wake`] will say.
    Waiting(WaitId),
    /// It will not come now.
    Refused(Refusal),
}

/// Why a key is not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server was asked recently, or has failed too often.
    BackOff {
        /// From when on it may be asked again.
        until_ts: i64,
    },
    /// No key is valid for as long as that: more than 7 days ahead.
    TooFarAhead,
    /// [`FetchPolicy::waiting_per_server_max`] is reached.
    TooManyWaiting,
    /// [`FetchPolicy::servers_max`] is reached and all of them are being fetched.
    TooManyServers,
}

/// Names a waiting verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId(u64);

/// Names a request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(u64);

/// What the caller is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read what was saved of a server, and call [`RemoteKeys::loaded`].
    Load {
        /// The server.
        server: OwnedServerName,
    },
    /// Make a request, and call [`RemoteKeys::fetched`].
    Fetch {
        /// Its name, for the answer.
        id: FetchId,
        /// What to ask, and whom.
        request: FetchRequest,
    },
    /// Save what is known of a server, over what was saved before.
    Save {
        /// The server.
        server: OwnedServerName,
        /// What to save; opaque.
        record: Vec<u8>,
    },
    /// Go on with a verification.
    Wake {
        /// Which one.
        wait: WaitId,
        /// With what.
        outcome: Outcome,
    },
    /// Tell the operator.
    Report(Finding),
}

/// A request for keys. Bodies of answers may be cut off one byte above the bounds of
/// [`FetchPolicy`]; they are refused then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchRequest {
    /// `GET /_matrix/key/v2/server`, found by the usual server discovery. The keys of our own
    /// tenants are answered from the [`Keyring`](crate::Keyring).
    Server {
        /// The server.
        server: OwnedServerName,
    },
    /// `POST /_matrix/key/v2/query`.
    Notary {
        /// The notary.
        notary: OwnedServerName,
        /// The body.
        body: Vec<u8>,
    },
}

/// There was no answer with status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFailure;

/// With what a verification goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The key is there, as current until the time asked for, or as an old key.
    Found,
    /// The key is there, but nobody says that it is valid for as long as asked.
    Stale,
    /// Nobody has the key.
    Missing,
    /// What was saved of the server cannot be read, so nothing is fetched.
    Unreadable,
}

/// What a [`RemoteKeys`] has in memory and under way; [`FetchPolicy`] bounds all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// How many servers are remembered.
    pub servers: usize,
    /// How many requests are under way.
    pub in_flight: usize,
    /// How many bytes the remembered documents and keys have, roughly.
    pub bytes: usize,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) known: KnownServer,
    pub(super) stage: Stage,
    pub(super) course: Course,
    pub(super) waiting: Vec<Waiting>,
    pub(super) direct_failures: u32,
    pub(super) direct_retry_ts: i64,
    pub(super) walk_failures: u32,
    pub(super) walk_retry_ts: i64,
    pub(super) used: u64,
    pub(super) bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Idle,
    Loading,
    Direct,
    Notary(usize),
}

/// In which order a server and the notaries are asked for its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    ServerFirst,
    NotariesFirst,
    /// The server after the notaries.
    ServerLast,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: WaitId,
    pub(super) key_id: Option<KeyId>,
    pub(super) minimum_valid_until_ts: i64,
    pub(super) route: Route,
    since_ts: i64,
}

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) deadline_ts: i64,
    pub(super) what: Asked,
}

#[derive(Debug)]
pub(super) enum Asked {
    Server(OwnedServerName),
    Notary { index: usize, servers: Vec<OwnedServerName> },
}

impl Waiting {
    /// Whether what is known answers the question.
    pub(super) fn is_settled(&self, known: &KnownServer, now_ts: i64) -> bool {
        let minimum_ts = self.minimum_valid_until_ts;
        match &self.key_id {
            Some(key_id) => known.keys.get(key_id).is_some_and(|key| match key.validity {
                KeyValidity::Current { valid_until_ts } => valid_until_ts >= minimum_ts,
                KeyValidity::Old { .. } => true,
            }),
            None => known.newest.as_ref().is_some_and(|newest| {
                let fresh = newest.valid_until_ts >= minimum_ts && now_ts < newest.half_life_ts();
                fresh || newest.fetched_ts >= self.since_ts
            }),
        }
    }

    /// What is said when nobody is left to ask.
    pub(super) fn last_outcome(&self, known: &KnownServer) -> Outcome {
        let there = match &self.key_id {
            Some(key_id) => known.keys.contains_key(key_id),
            None => known.newest.is_some(),
        };
        if there { Outcome::Stale } else { Outcome::Missing }
    }
}

impl RemoteKeys {
    /// A machine that knows nothing yet.
    pub fn new(policy: FetchPolicy, notaries: Vec<Notary>) -> Self {
        Self {
            prepared: PreparedKeys::new(policy.prepared_max),
            policy,
            notaries: notaries.into_iter().map(NotaryState::new).collect(),
            servers: BTreeMap::new(),
            by_use: BTreeMap::new(),
            bytes: 0,
            in_flight: BTreeMap::new(),
            direct_queue: DirectQueue::default(),
            actions: VecDeque::new(),
            counter: 0,
        }
    }

    /// Asks for a key or a document.
    ///
    /// What is there but past half of its life is renewed in the background.
    pub fn need(&mut self, want: Want<'_>, now_ts: i64) -> Needed {
        if want.minimum_valid_until_ts > now_ts.saturating_add(VALIDITY_AHEAD_MAX_MS) {
            return Needed::Refused(Refusal::TooFarAhead);
        }
        if !self.servers.contains_key(want.server) && !self.insert(want.server) {
            return Needed::Refused(Refusal::TooManyServers);
        }
        self.touch(want.server);
        let waiting_max = self.policy.waiting_per_server_max;
        let id = WaitId(self.next_number());
        let Some(server) = self.servers.get_mut(want.server) else {
            return Needed::Refused(Refusal::TooManyServers);
        };
        let waiting = Waiting {
            id,
            key_id: want.key_id.cloned(),
            minimum_valid_until_ts: want.minimum_valid_until_ts,
            route: want.route,
            since_ts: now_ts,
        };
        let idle = server.stage == Stage::Idle;
        let until_ts = server.retry_ts(want.route);
        if server.stage != Stage::Loading && waiting.is_settled(&server.known, now_ts) {
            let renew = server.known.newest.as_ref().is_some_and(|newest| now_ts >= newest.half_life_ts());
            if renew && idle && now_ts >= server.retry_ts(Route::Direct) {
                self.start_walk(want.server, now_ts);
            }
            return Needed::Ready;
        }
        if idle && now_ts < until_ts {
            return Needed::Refused(Refusal::BackOff { until_ts });
        }
        if server.waiting.len() >= waiting_max {
            return Needed::Refused(Refusal::TooManyWaiting);
        }
        server.waiting.push(waiting);
        if idle {
            self.start_walk(want.server, now_ts);
        }
        Needed::Waiting(id)
    }

    /// The next thing to do, if any; call it until there is none, after every other call and when
    /// [`next_poll_ts`](Self::next_poll_ts) has come.
    pub fn poll(&mut self, now_ts: i64) -> Option<Action> {
        self.expire(now_ts);
        if self.actions.is_empty() {
            self.start_requests(now_ts);
        }
        self.actions.pop_front()
    }

    /// When [`poll`](Self::poll) has something to do even if nothing happens before; in the past
    /// when it has something to do now.
    pub fn next_poll_ts(&self) -> Option<i64> {
        if !self.actions.is_empty() {
            return Some(i64::MIN);
        }
        let room = self.in_flight.len() < self.policy.in_flight_max;
        let direct = (room && !self.direct_queue.is_empty()).then_some(i64::MIN);
        let deadlines = self.in_flight.values().map(|fetch| fetch.deadline_ts);
        let batches = self.notaries.iter().filter(|_| room);
        let batches = batches.filter_map(|notary| notary.ready_ts(&self.policy));
        direct.into_iter().chain(deadlines).chain(batches).min()
    }

    /// Forgets a server, as an operator may want who knows that its keys were lost and made anew.
    /// The caller deletes what was saved of it.
    pub fn forget(&mut self, server: &ServerName) {
        self.notaries.iter_mut().for_each(|notary| notary.without_keys = false);
        self.remove(server, Outcome::Missing);
    }

    /// How much is in memory, and under way.
    pub fn usage(&self) -> Usage {
        Usage { servers: self.servers.len(), in_flight: self.in_flight.len(), bytes: self.bytes }
    }

    pub(super) fn next_fetch_id(&mut self) -> FetchId {
        FetchId(self.next_number())
    }

    fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Makes a place for a server; `false` when all are busy.
    pub(super) fn insert(&mut self, server: &ServerName) -> bool {
        while self.servers.len() >= self.policy.servers_max.max(1) {
            if !self.evict() {
                return false;
            }
        }
        let used = self.next_number();
        self.by_use.insert(used, server.to_owned());
        self.servers.insert(server.to_owned(), Server::loading(used));
        self.actions.push_back(Action::Load { server: server.to_owned() });
        true
    }

    fn touch(&mut self, server: &ServerName) {
        let now = self.next_number();
        if let Some(entry) = self.servers.get_mut(server)
            && let Some(name) = self.by_use.remove(&entry.used)
        {
            entry.used = now;
            self.by_use.insert(now, name);
        }
    }

    /// Removes the idle server used longest ago; `false` when there is none.
    pub(super) fn evict(&mut self) -> bool {
        let idle = |name: &&OwnedServerName| {
            self.servers.get(*name).is_some_and(|server| server.stage == Stage::Idle)
        };
        match self.by_use.values().find(idle).cloned() {
            Some(name) => {
                self.remove(&name, Outcome::Missing);
                true
            }
            None => false,
        }
    }

    pub(super) fn remove(&mut self, server: &ServerName, outcome: Outcome) {
        let Some(removed) = self.servers.remove(server) else { return };
        self.by_use.remove(&removed.used);
        self.bytes -= removed.bytes;
        for waiting in removed.waiting {
            self.actions.push_back(Action::Wake { wait: waiting.id, outcome });
        }
    }
}

impl Server {
    fn loading(used: u64) -> Self {
        Self {
            known: KnownServer::default(),
            stage: Stage::Loading,
            course: Course::ServerFirst,
            waiting: Vec::new(),
            direct_failures: 0,
            direct_retry_ts: i64::MIN,
            walk_failures: 0,
            walk_retry_ts: i64::MIN,
            used,
            bytes: 0,
        }
    }

    fn retry_ts(&self, route: Route) -> i64 {
        match route {
            Route::Any | Route::NotariesFirst => self.walk_retry_ts,
            Route::Direct => self.walk_retry_ts.max(self.direct_retry_ts),
        }
    }
}

/// The keys known so far, first seen under each identifier.
impl KeySource for RemoteKeys {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        let known = self.servers.get(server)?.known.keys.get(key_id)?;
        Some(PublishedKey { key: &known.key, validity: known.validity })
    }

    fn prepared(&self) -> Option<&PreparedKeys> {
        Some(&self.prepared)
    }
}
