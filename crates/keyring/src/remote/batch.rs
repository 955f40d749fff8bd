//! Questions to notaries, several servers at a time, and their answers.

use std::collections::{BTreeMap, VecDeque};

use freehold_canonical_json::{Limits, Object, Value, parse};
use freehold_signing::{KeyId, KeySource, KeyValidity, PublishedKey, VerifyingKey, verify_json};
use ruma_common::{OwnedServerName, ServerName};

use super::{
    known::{Finding, KnownServer, Via},
    machine::{Action, Asked, FetchFailure, FetchRequest, RemoteKeys, Stage},
    policy::{FetchPolicy, Notary},
    server_keys::ServerKeys,
};

#[derive(Debug)]
pub(super) struct NotaryState {
    notary: Notary,
    /// Servers to ask for, and since when they wait.
    pub(super) queue: VecDeque<(OwnedServerName, i64)>,
    /// Its own keys are being fetched, so that its answers can be checked.
    pub(super) without_keys: bool,
    in_flight: usize,
    failures: u32,
    retry_ts: i64,
}

/// How many requests to one notary may be under way.
const IN_FLIGHT_PER_NOTARY_MAX: usize = 4;

/// Whether the answers of a notary could be checked.
enum Keys {
    Known,
    Coming,
    Unknown,
}

impl NotaryState {
    pub(super) fn new(notary: Notary) -> Self {
        Self {
            notary,
            queue: VecDeque::new(),
            without_keys: false,
            in_flight: 0,
            failures: 0,
            retry_ts: i64::MIN,
        }
    }

    /// Whether this is the notary.
    pub(super) fn is(&self, server: &ServerName) -> bool {
        self.notary.server_name == *server
    }

    /// When the queue is to be sent: when it is full, or when its first server has waited enough.
    pub(super) fn ready_ts(&self, policy: &FetchPolicy) -> Option<i64> {
        let (_, since_ts) = self.queue.front()?;
        if self.without_keys || self.in_flight >= IN_FLIGHT_PER_NOTARY_MAX {
            None
        } else if self.queue.len() >= policy.batch_max {
            Some(i64::MIN)
        } else {
            Some(since_ts.saturating_add(policy.batch_delay_ms))
        }
    }

    pub(super) fn fail(&mut self, policy: &FetchPolicy, now_ts: i64) {
        self.failures = self.failures.saturating_add(1);
        self.retry_ts = now_ts.saturating_add(policy.back_off_ms(self.failures));
    }
}

impl RemoteKeys {
    /// Sends what has waited long enough.
    pub(super) fn start_batches(&mut self, now_ts: i64) {
        for index in 0..self.notaries.len() {
            while self.in_flight.len() < self.policy.in_flight_max && self.start_batch(index, now_ts) {}
        }
    }

    /// Takes the answer to one batch; what is missing in it is asked of the next notary.
    pub(super) fn fetched_batch(
        &mut self,
        index: usize,
        servers: Vec<OwnedServerName>,
        answer: Result<&[u8], FetchFailure>,
        now_ts: i64,
    ) {
        let documents = answer.ok().map(documents_in);
        let policy = self.policy;
        if let Some(notary) = self.notaries.get_mut(index) {
            notary.in_flight = notary.in_flight.saturating_sub(1);
            match documents {
                Some(Some(_)) => notary.failures = 0,
                _ => notary.fail(&policy, now_ts),
            }
        }
        match documents {
            Some(Some(documents)) => documents
                .into_iter()
                .for_each(|document| self.learn_from_notary(index, &servers, document, now_ts)),
            Some(None) => self.actions.push_back(Action::Report(Finding::BadAnswer { notary: index })),
            None => {}
        }
        for server in servers {
            self.leave_notary(&server, index, now_ts);
        }
    }

    fn learn_from_notary(
        &mut self,
        index: usize,
        servers: &[OwnedServerName],
        object: Object<'static>,
        now_ts: i64,
    ) {
        let via = Via::Notary(index);
        let document = match ServerKeys::from_object(object) {
            Ok(document) => document,
            Err(error) => return self.report_document(None, via, error),
        };
        let server = document.server_name.clone();
        if !servers.contains(&server) {
            let finding = Finding::NotAsked { server, notary: index };
            return self.actions.push_back(Action::Report(finding));
        }
        let Some(state) = self.notaries.get(index) else { return };
        let name = &state.notary.server_name;
        let known = self.servers.get(name).map(|entry| &entry.known);
        let keys = NotaryKeys { pinned: &state.notary.keys, known, now_ts };
        match verify_json(document.object(), name, &keys) {
            Ok(()) => self.learn(&document, via, now_ts),
            Err(error) => self.report_document(Some(server), via, error.into()),
        }
    }

    /// Sends one batch if it is time; `true` if there may be another.
    fn start_batch(&mut self, index: usize, now_ts: i64) -> bool {
        let policy = self.policy;
        let Some(state) = self.notaries.get(index) else { return false };
        if state.queue.is_empty() {
            return false;
        }
        if now_ts < state.retry_ts {
            self.skip_notary(index, now_ts);
            return false;
        }
        if state.ready_ts(&policy).is_none_or(|ready_ts| ready_ts > now_ts) {
            return false;
        }
        match self.notary_keys(index, now_ts) {
            Keys::Known => {}
            Keys::Coming => {
                if let Some(state) = self.notaries.get_mut(index) {
                    state.without_keys = true;
                }
                return false;
            }
            Keys::Unknown => {
                self.skip_notary(index, now_ts);
                return false;
            }
        }
        let Some(state) = self.notaries.get_mut(index) else { return false };
        let count = state.queue.len().min(policy.batch_max.max(1));
        let names = state.queue.drain(..count).map(|(name, _)| name);
        let asks = |name: &OwnedServerName| {
            self.servers.get(name).is_some_and(|entry| entry.stage == Stage::Notary(index))
        };
        let servers: Vec<OwnedServerName> = names.filter(asks).collect();
        if servers.is_empty() {
            return true;
        }
        state.in_flight += 1;
        let notary = state.notary.server_name.clone();
        let body = self.query_body(&servers);
        self.send(FetchRequest::Notary { notary, body }, Asked::Notary { index, servers }, now_ts);
        true
    }

    /// `{"server_keys": {server: {key id: {"minimum_valid_until_ts": …}}}}`
    fn query_body(&self, servers: &[OwnedServerName]) -> Vec<u8> {
        let mut asked = Object::new();
        for name in servers {
            let mut wanted: BTreeMap<&KeyId, i64> = BTreeMap::new();
            let waiting = self.servers.get(name).map(|entry| entry.waiting.as_slice());
            for waiting in waiting.unwrap_or_default() {
                let Some(key_id) = &waiting.key_id else { continue };
                let minimum = wanted.entry(key_id).or_insert(waiting.minimum_valid_until_ts);
                *minimum = waiting.minimum_valid_until_ts.max(*minimum);
            }
            let criteria = wanted.into_iter().map(|(key_id, minimum_ts)| {
                let minimum = [("minimum_valid_until_ts", Value::from(minimum_ts))];
                (key_id.as_str().to_owned(), minimum.into_iter().collect::<Object<'static>>())
            });
            asked.insert(name.as_str().to_owned(), criteria.collect::<Object<'static>>());
        }
        let mut body = Object::new();
        body.insert("server_keys", asked);
        body.to_canonical_vec()
    }

    /// Whether the notary's answers can be checked; starts to fetch its keys if they are needed.
    fn notary_keys(&mut self, index: usize, now_ts: i64) -> Keys {
        let Some(state) = self.notaries.get(index) else { return Keys::Unknown };
        if !state.notary.keys.is_empty() {
            return Keys::Known;
        }
        let name = state.notary.server_name.clone();
        let Some(entry) = self.servers.get(&name) else {
            return if self.insert(&name) { Keys::Coming } else { Keys::Unknown };
        };
        let usable = |key: &super::known::KnownKey| key.validity.covers_request(now_ts);
        match entry.stage {
            _ if entry.known.keys.values().any(usable) => Keys::Known,
            Stage::Loading | Stage::Direct => Keys::Coming,
            Stage::Idle if now_ts >= entry.direct_retry_ts && now_ts >= entry.walk_retry_ts => {
                self.start_walk(&name, now_ts);
                Keys::Coming
            }
            Stage::Idle | Stage::Notary(_) => Keys::Unknown,
        }
    }

    /// Sends everybody who waits for a notary to the next one.
    fn skip_notary(&mut self, index: usize, now_ts: i64) {
        let queue = self.notaries.get_mut(index).map(|state| std::mem::take(&mut state.queue));
        for (server, _) in queue.unwrap_or_default() {
            self.leave_notary(&server, index, now_ts);
        }
    }

    fn leave_notary(&mut self, server: &ServerName, index: usize, now_ts: i64) {
        if self.servers.get(server).is_some_and(|entry| entry.stage == Stage::Notary(index)) {
            self.ask_notary(server, index + 1, now_ts);
        }
    }
}

/// The keys a notary signs with: those the operator gave, or those it publishes.
struct NotaryKeys<'a> {
    pinned: &'a BTreeMap<KeyId, VerifyingKey>,
    known: Option<&'a KnownServer>,
    now_ts: i64,
}

impl KeySource for NotaryKeys<'_> {
    fn key(&self, _: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        if let Some(key) = self.pinned.get(key_id) {
            return Some(PublishedKey { key, validity: KeyValidity::Current { valid_until_ts: i64::MAX } });
        }
        let known = self.known.filter(|_| self.pinned.is_empty())?.keys.get(key_id)?;
        let usable = known.validity.covers_request(self.now_ts);
        usable.then_some(PublishedKey { key: &known.key, validity: known.validity })
    }
}

/// The documents of an answer; those that are no objects are left out.
fn documents_in(json: &[u8]) -> Option<Vec<Object<'static>>> {
    let limits = Limits { bytes: FetchPolicy::NOTARY_ANSWER_BYTES_MAX, depth: 18, ..Limits::RELAXED };
    let answer = parse(json, &limits).ok()?.into_owned().into_object()?.remove("server_keys")?;
    match answer {
        Value::Array(documents) => Some(documents.into_iter().filter_map(Value::into_object).collect()),
        _ => None,
    }
}
