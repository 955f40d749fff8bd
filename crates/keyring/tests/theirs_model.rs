//! The machine for the keys of other servers against a naive model, over random walks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at what it did not expect"
)]

use std::collections::BTreeMap;

use freehold_keyring::{
    Action, FetchFailure, FetchId, FetchPolicy, FetchRequest, Finding, Needed, RemoteKeys, Route, Via,
    WaitId, Want,
};
use freehold_signing::{KeyId, KeySource, KeyValidity};
use proptest::prelude::*;
use ruma_common::{OwnedServerName, ServerName};
use world::{DAY, HOUR, NOW, Origin, key_id, name, notary_document};

#[path = "support/world.rs"]
mod world;

fn want<'a>(server: &'a ServerName, key_id: &'a KeyId, minimum_valid_until_ts: i64) -> Want<'a> {
    Want { server, key_id: Some(key_id), minimum_valid_until_ts, route: Route::Any }
}

/// A step of the random walk below.
#[derive(Clone, Debug)]
enum Step {
    Need { server: usize, key: u8, ahead: i64 },
    Publish { server: usize, keys: Vec<(u8, u8, bool)>, valid_for: i64 },
    Fail { server: usize },
    Wait(i64),
    Answer { which: usize, honest: bool },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let server = || 0..SERVERS;
    let keys = prop::collection::vec((0..4_u8, 0..6_u8, any::<bool>()), 1..4);
    let valid_for = prop_oneof![HOUR..DAY, DAY..9 * DAY];
    let wait = prop_oneof![0..100_i64, 60_000..HOUR, HOUR..DAY];
    prop_oneof![
        4 => (server(), 0..4_u8, -DAY..3 * DAY)
            .prop_map(|(server, key, ahead)| Step::Need { server, key, ahead }),
        2 => (server(), keys, valid_for)
            .prop_map(|(server, keys, valid_for)| Step::Publish { server, keys, valid_for }),
        1 => server().prop_map(|server| Step::Fail { server }),
        2 => wait.prop_map(Step::Wait),
        6 => (0..8_usize, prop::bool::weighted(0.8))
            .prop_map(|(which, honest)| Step::Answer { which, honest }),
        1 => Just(Step::Restart),
    ]
}

/// More than the machine under test remembers at a time.
const SERVERS: usize = 3;

/// What the machine should know, kept in the most stupid way: every document it was given, in order.
#[derive(Default)]
struct Model {
    learnt: Vec<(usize, Via, i64, Origin, i64)>,
}

impl Model {
    /// First key under each name; validity of the document that decides.
    fn key(&self, server: usize, key: &KeyId) -> Option<(Vec<u8>, KeyValidity)> {
        let mut found: Option<(Vec<u8>, KeyValidity)> = None;
        let mut newest: Option<i64> = None;
        for (_, via, now, origin, made) in self.learnt.iter().filter(|learnt| learnt.0 == server) {
            let valid_until_ts = (made + origin.valid_for).min(now + 7 * DAY);
            let decides = *via == Via::Direct || newest.is_none_or(|newest| newest < valid_until_ts);
            for (version, signing_key, expired) in &origin.keys {
                if version != key.version() {
                    continue;
                }
                let public = signing_key.verifying_key().as_bytes().to_vec();
                let validity = match expired {
                    Some(expired_ts) => KeyValidity::Old { expired_ts: *expired_ts },
                    None => KeyValidity::Current { valid_until_ts },
                };
                match &mut found {
                    None => found = Some((public, validity)),
                    Some((known, current)) if *known == public && decides => *current = validity,
                    Some(_) => {}
                }
            }
            if decides {
                newest = Some(valid_until_ts);
            }
        }
        found
    }
}

fn published(server: usize, keys: &[(u8, u8, bool)], valid_for: i64, now: i64) -> Origin {
    let mut origin = Origin::new(&format!("s{server}.example")).valid_for(valid_for);
    let keys: BTreeMap<u8, (u8, bool)> =
        keys.iter().map(|(version, seed, old)| (*version, (*seed, *old))).collect();
    for (version, (seed, old)) in keys {
        let version = format!("v{version}");
        origin = match old {
            true => origin.old_key(&version, seed, now),
            false => origin.key(&version, seed),
        };
    }
    // A document needs a key to be signed with.
    origin.key("always", 50 + server as u8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens in whatever order, the machine knows what the model knows, wakes everybody
    /// exactly once, and keeps its bounds.
    #[test]
    fn the_machine_agrees_with_a_naive_model(steps in prop::collection::vec(step(), 1..120)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step)?;
        }
        // Let everything that is under way end.
        for _ in 0..20 {
            run.now += 30_000;
            run.drain()?;
        }
        prop_assert!(run.waiting.is_empty(), "{:?} still wait", run.waiting);
        prop_assert_eq!(run.machine.usage().in_flight, 0);
    }
}

struct Run {
    machine: RemoteKeys,
    model: Model,
    now: i64,
    origins: Vec<Option<(Origin, i64)>>,
    open: Vec<(FetchId, FetchRequest)>,
    saved: BTreeMap<OwnedServerName, Vec<u8>>,
    waiting: Vec<WaitId>,
    policy: FetchPolicy,
}

impl Run {
    fn new() -> Self {
        let policy = FetchPolicy { in_flight_max: 3, servers_max: 2, batch_max: 2, ..FetchPolicy::default() };
        Self {
            machine: RemoteKeys::new(policy, world::notaries(1)),
            model: Model::default(),
            now: NOW,
            origins: vec![None; SERVERS],
            open: Vec::new(),
            saved: BTreeMap::new(),
            waiting: Vec::new(),
            policy,
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Need { server, key, ahead } => {
                let (server, key) = (name(&format!("s{server}.example")), key_id(&format!("v{key}")));
                let needed = self.machine.need(want(&server, &key, self.now + ahead), self.now);
                if let Needed::Waiting(wait) = needed {
                    self.waiting.push(wait);
                }
                if needed == Needed::Ready {
                    prop_assert!(self.machine.key(&server, &key).is_some());
                }
            }
            Step::Publish { server, keys, valid_for } => {
                self.origins[server] = Some((published(server, &keys, valid_for, self.now), self.now));
            }
            Step::Fail { server } => self.origins[server] = None,
            Step::Wait(time) => self.now += time,
            Step::Answer { which, honest } if !self.open.is_empty() => {
                let (id, request) = self.open.remove(which % self.open.len());
                self.answer(id, request, honest);
            }
            Step::Answer { .. } => {}
            Step::Restart => {
                self.machine = RemoteKeys::new(self.policy, world::notaries(1));
                self.open.clear();
                self.waiting.clear();
            }
        }
        self.drain()
    }

    fn answer(&mut self, id: FetchId, request: FetchRequest, honest: bool) {
        if !honest {
            return self.machine.fetched(id, Err(FetchFailure), self.now);
        }
        let index = |server: &str| server[1..2].parse::<usize>().unwrap();
        match request {
            FetchRequest::Server { server } => match self.origins[index(server.as_str())].clone() {
                Some((origin, made)) => {
                    let in_time = self.machine.usage().in_flight;
                    self.machine.fetched(id, Ok(&origin.document(made)), self.now);
                    if self.machine.usage().in_flight < in_time {
                        self.model.learnt.push((index(server.as_str()), Via::Direct, self.now, origin, made));
                    }
                }
                None => self.machine.fetched(id, Err(FetchFailure), self.now),
            },
            FetchRequest::Notary { body, .. } => {
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let servers: Vec<_> = body["server_keys"].as_object().unwrap().keys().cloned().collect();
                let known = servers.iter().filter_map(|server| {
                    let (origin, made) = self.origins[index(server)].clone()?;
                    Some((index(server), origin, made))
                });
                let known: Vec<_> = known.collect();
                let documents: Vec<_> =
                    known.iter().map(|(_, origin, made)| origin.document(*made)).collect();
                let in_time = self.machine.usage().in_flight;
                self.machine.fetched(id, Ok(&notary_document(&documents, "n0.example")), self.now);
                if self.machine.usage().in_flight < in_time {
                    for (server, origin, made) in known {
                        self.model.learnt.push((server, Via::Notary(0), self.now, origin, made));
                    }
                }
            }
        }
    }

    fn drain(&mut self) -> Result<(), TestCaseError> {
        let mut count = 0;
        while let Some(action) = self.machine.poll(self.now) {
            match action {
                Action::Load { server } => {
                    let record = self.saved.get(&server).map(Vec::as_slice);
                    self.machine.loaded(&server, Ok(record), self.now);
                }
                Action::Fetch { id, request } => self.open.push((id, request)),
                Action::Save { server, record } => drop(self.saved.insert(server, record)),
                Action::Wake { wait, .. } => {
                    let found = self.waiting.iter().position(|waiting| *waiting == wait);
                    prop_assert!(found.is_some(), "{wait:?} was woken twice or never waited");
                    self.waiting.remove(found.unwrap());
                }
                Action::Report(Finding::KeyIdReused(_)) => {}
                Action::Report(finding) => prop_assert!(false, "{finding:?}"),
            }
            count += 1;
            prop_assert!(count < 1000, "the machine does not come to rest");
        }
        prop_assert!(self.machine.usage().in_flight <= 3);
        prop_assert!(self.machine.usage().servers <= 2);
        if let Some(next_ts) = self.machine.next_poll_ts() {
            prop_assert!(next_ts > self.now, "nothing to do now, and yet to be polled now");
        }
        for server in 0..SERVERS {
            let name = name(&format!("s{server}.example"));
            for key in 0..4 {
                let key = key_id(&format!("v{key}"));
                // A server out of memory is known from the store when it comes back.
                if self.machine.document(&name).is_some() {
                    let found = self.machine.key(&name, &key);
                    let found = found.map(|found| (found.key.as_bytes().to_vec(), found.validity));
                    prop_assert_eq!(found, self.model.key(server, &key));
                }
            }
        }
        Ok(())
    }
}
