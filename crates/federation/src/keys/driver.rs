//! Does what the machine of remote keys says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_keyring::{
    Action, FetchFailure, FetchId, FetchPolicy, FetchRequest, Needed, Notary, Outcome, RemoteKeys, Route,
    WaitId, Want,
};
use freehold_rooms::Identities;
use freehold_signing::{KeySource, WantedKey};
use freehold_store::tables::federation::REMOTE_KEYS;
use freehold_store::{Clock, Store};
use ruma_common::OwnedServerName;
use tokio::sync::oneshot;

use super::notary::OwnDocuments;
use super::snapshot::KeySnapshot;
use crate::backlog::Backlog;
use crate::client::{Client, Request};
use crate::limits::{KEYS_WAIT_MS, MANY_SERVERS, NOTARY_QUERIES_MAX, WANTED_KEYS_MAX};

/// The keys of other servers, for all tenants.
///
/// Each server's keys are asked of itself first and then of the notaries, but of those first when many servers' keys are
/// wanted at once, as for the members of a room; who does not answer is asked ever more rarely.
/// What was learnt is kept in the store: the first key that a server uses under an identifier stays.
#[derive(Clone)]
pub struct RemoteKeyring(pub(super) Arc<Inner>);

/// What a [`RemoteKeyring`] is made of.
pub struct RemoteKeyringParts {
    /// Makes the requests.
    pub client: Client,
    /// Where keys are kept.
    pub store: Store,
    /// Whose keys are our own.
    pub identities: Arc<dyn Identities>,
    /// What our own tenants publish.
    pub documents: Arc<dyn OwnDocuments>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Bounds and times.
    pub policy: FetchPolicy,
    /// Who is asked for the keys of servers that do not answer, in turn.
    pub notaries: Vec<Notary>,
}

pub(super) struct Inner {
    pub(super) client: Client,
    pub(super) identities: Arc<dyn Identities>,
    pub(super) documents: Arc<dyn OwnDocuments>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) queries: async_lock::Semaphore,
    backlog: Backlog<Vec<u8>>,
    timeout: Duration,
    machine: Mutex<Machine>,
}

pub(super) struct Machine {
    pub(super) keys: RemoteKeys,
    waiting: BTreeMap<WaitId, oneshot::Sender<Outcome>>,
    /// When the machine is polled next by itself.
    timer_ts: Option<i64>,
}

impl Machine {
    /// Who is woken when a wait is over.
    pub(super) fn wait(&mut self, id: WaitId) -> oneshot::Receiver<Outcome> {
        let (wake, woken) = oneshot::channel();
        self.waiting.insert(id, wake);
        woken
    }
}

impl RemoteKeyring {
    /// A keyring that knows what lies in the store.
    pub fn new(parts: RemoteKeyringParts) -> Self {
        let keys = RemoteKeys::new(parts.policy, parts.notaries);
        let machine = Machine { keys, waiting: BTreeMap::new(), timer_ts: None };
        RemoteKeyring(Arc::new(Inner {
            client: parts.client,
            identities: parts.identities,
            documents: parts.documents,
            clock: parts.clock,
            queries: async_lock::Semaphore::new(NOTARY_QUERIES_MAX),
            backlog: Backlog::new(parts.store, &REMOTE_KEYS),
            timeout: Duration::from_millis(u64::try_from(parts.policy.timeout_ms).unwrap_or_default()),
            machine: Mutex::new(machine),
        }))
    }

    /// The keys of others, and of our own tenants, as far as they can be had. Keys that nobody has are left out.
    ///
    /// It returns when all are there or have failed, after a minute at the latest. At most
    /// [`limits::WANTED_KEYS_MAX`](crate::limits::WANTED_KEYS_MAX) keys are asked for at a time; what is beyond is answered from what
    /// is known.
    pub async fn keys_for(&self, wanted: &[WantedKey]) -> KeySnapshot {
        let now_ts = self.0.clock.now_ts();
        let mut snapshot = KeySnapshot::with_prepared(self.lock().keys.prepared().cloned());
        let mut others: BTreeMap<_, i64> = BTreeMap::new();
        for want in wanted {
            if let Some(tenant) = self.0.identities.tenant(&want.server) {
                if let Some(key) = self.0.identities.published_key(&tenant, &want.key_id, now_ts) {
                    snapshot.insert(&want.server, &want.key_id, key);
                }
                continue;
            }
            let minimum = want.minimum_valid_until_ts.unwrap_or_default();
            let latest = others.entry((&want.server, &want.key_id)).or_insert(minimum);
            *latest = minimum.max(*latest);
        }
        let mut waits = Vec::new();
        {
            let mut machine = self.lock();
            let unknown = others.keys().filter(|(server, key_id)| machine.keys.key(server, key_id).is_none());
            let are_many = unknown.take(MANY_SERVERS).count() == MANY_SERVERS;
            let route = if are_many { Route::NotariesFirst } else { Route::Any };
            for ((server, key_id), minimum_valid_until_ts) in others.iter().take(WANTED_KEYS_MAX) {
                let want = Want {
                    server,
                    key_id: Some(key_id),
                    minimum_valid_until_ts: *minimum_valid_until_ts,
                    route,
                };
                if let Needed::Waiting(id) = machine.keys.need(want, now_ts) {
                    waits.push(machine.wait(id));
                }
            }
        }
        self.wait_for(waits).await;
        let machine = self.lock();
        for (server, key_id) in others.into_keys() {
            if let Some(key) = machine.keys.key(server, key_id) {
                snapshot.insert(server, key_id, (key.key.clone(), key.validity));
            }
        }
        snapshot
    }

    /// Forgets what is known of a server's keys, as an operator may want who knows that they were lost and made anew.
    pub fn forget(&self, server: &OwnedServerName) {
        self.lock().keys.forget(server);
        self.0.backlog.put(server.clone(), None);
        self.pump();
    }

    /// Has the machine do its work, and waits until these waits are over, or for too long.
    pub(super) async fn wait_for(&self, waits: Vec<oneshot::Receiver<Outcome>>) {
        self.pump();
        let all = futures_util::future::join_all(waits);
        if tokio::time::timeout(Duration::from_millis(KEYS_WAIT_MS), all).await.is_err() {
            tracing::debug!("keys did not come in time");
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pump(&self) {
        let now_ts = self.0.clock.now_ts();
        let mut actions = Vec::new();
        let timer = {
            let mut machine = self.lock();
            while let Some(action) = machine.keys.poll(now_ts) {
                match action {
                    Action::Wake { wait, outcome } => {
                        if let Some(wake) = machine.waiting.remove(&wait) {
                            // Who does not wait any more needs no waking.
                            let _ = wake.send(outcome);
                        }
                    }
                    other => actions.push(other),
                }
            }
            machine.next_timer(now_ts)
        };
        if let Some(time) = timer {
            let this = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                this.lock().timer_ts = None;
                this.pump();
            });
        }
        actions.into_iter().for_each(|action| self.perform(action));
    }

    fn perform(&self, action: Action) {
        let this = self.clone();
        match action {
            Action::Load { server } => {
                tokio::spawn(async move { this.load(server).await });
            }
            Action::Fetch { id, request } => {
                tokio::spawn(async move { this.fetch(id, request).await });
            }
            Action::Save { server, record } => self.0.backlog.put(server, Some(record)),
            Action::Report(finding) => tracing::warn!(?finding, "keys of another server are not in order"),
            // Wakes were seen to before.
            Action::Wake { .. } => {}
        }
    }

    async fn load(self, server: OwnedServerName) {
        let row = self.0.backlog.get(&server).await;
        let record = match &row {
            Ok(record) => Ok(record.as_deref()),
            Err(error) => {
                tracing::warn!(%server, %error, "the keys of a server cannot be read");
                Err(FetchFailure)
            }
        };
        let now_ts = self.0.clock.now_ts();
        self.lock().keys.loaded(&server, record, now_ts);
        self.pump();
    }

    async fn fetch(self, id: FetchId, request: FetchRequest) {
        let (server, request, bytes_max) = match request {
            FetchRequest::Server { server } => {
                let request = Request::get("/_matrix/key/v2/server");
                (server, request, FetchPolicy::DOCUMENT_BYTES_MAX)
            }
            FetchRequest::Notary { notary, body } => {
                let request = Request::post("/_matrix/key/v2/query", body);
                (notary, request, FetchPolicy::NOTARY_ANSWER_BYTES_MAX)
            }
        };
        // The machine has a back-off of its own; and a server that came back is asked as soon as it needs its keys known.
        let request = request.within(self.0.timeout).up_to(bytes_max).at_once();
        let answer = self.0.client.request_unsigned(&server, request).await;
        let answer = match &answer {
            Ok(answer) if answer.status == 200 => Ok(answer.body.as_ref()),
            Ok(_) => Err(FetchFailure),
            Err(error) => {
                tracing::debug!(%server, %error, "keys cannot be fetched");
                Err(FetchFailure)
            }
        };
        let now_ts = self.0.clock.now_ts();
        self.lock().keys.fetched(id, answer, now_ts);
        self.pump();
    }
}

impl Machine {
    /// For how long a new timer is to sleep, if one is needed.
    fn next_timer(&mut self, now_ts: i64) -> Option<Duration> {
        let next_ts = self.keys.next_poll_ts()?;
        if self.timer_ts.is_some_and(|timer_ts| timer_ts <= next_ts) {
            return None;
        }
        self.timer_ts = Some(next_ts);
        // A millisecond more than nothing, so that a machine that always wants to be polled does not keep a core busy.
        let wait_ms = next_ts.saturating_sub(now_ts).max(1);
        Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(1)))
    }
}
