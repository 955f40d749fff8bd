//! Servers, notaries and a store around a machine under test.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;

use freehold_canonical_json::{Object, Value};
use freehold_keyring::{
    Action, FetchFailure, FetchPolicy, FetchRequest, Finding, Notary, Outcome, RemoteKeys, WaitId,
    notary_answer,
};
use freehold_signing::{KeyId, ServerSigner, SigningKey, sign_json};
use ruma_common::{OwnedServerName, ServerName};

pub(crate) const HOUR: i64 = 60 * 60 * 1000;
pub(crate) const DAY: i64 = 24 * HOUR;
pub(crate) const NOW: i64 = 1_800_000_000_000;

pub(crate) fn name(text: &str) -> OwnedServerName {
    ServerName::parse(text).unwrap()
}

pub(crate) fn key_id(version: &str) -> KeyId {
    KeyId::ed25519(version).unwrap()
}

/// A server that publishes keys.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) server: OwnedServerName,
    pub(crate) keys: Vec<(String, SigningKey, Option<i64>)>,
    pub(crate) valid_for: i64,
    pub(crate) up: bool,
    seeds: Vec<u8>,
}

impl Clone for Origin {
    fn clone(&self) -> Self {
        let keys = self.keys.iter().zip(&self.seeds);
        let keys = keys.map(|((version, _, expired), seed)| {
            (version.clone(), SigningKey::from_seed(&[*seed; 32]), *expired)
        });
        Self { server: self.server.clone(), keys: keys.collect(), seeds: self.seeds.clone(), ..*self }
    }
}

impl Origin {
    pub(crate) fn new(server: &str) -> Self {
        Self { server: name(server), keys: Vec::new(), valid_for: DAY, up: true, seeds: Vec::new() }
    }

    pub(crate) fn key(mut self, version: &str, seed: u8) -> Self {
        self.keys.push((version.into(), SigningKey::from_seed(&[seed; 32]), None));
        self.seeds.push(seed);
        self
    }

    pub(crate) fn old_key(mut self, version: &str, seed: u8, expired_ts: i64) -> Self {
        self.keys.push((version.into(), SigningKey::from_seed(&[seed; 32]), Some(expired_ts)));
        self.seeds.push(seed);
        self
    }

    pub(crate) fn valid_for(self, valid_for: i64) -> Self {
        Self { valid_for, ..self }
    }

    pub(crate) fn down(self) -> Self {
        Self { up: false, ..self }
    }

    pub(crate) fn unsigned(&self, now: i64) -> Object<'static> {
        let (mut current, mut old) = (Object::new(), Object::new());
        for (version, key, expired_ts) in &self.keys {
            let mut entry: Object<'static> =
                [("key", Value::from(key.verifying_key().to_base64()))].into_iter().collect();
            let list = match expired_ts {
                Some(expired_ts) => {
                    entry.insert("expired_ts", *expired_ts);
                    &mut old
                }
                None => &mut current,
            };
            list.insert(format!("ed25519:{version}"), entry);
        }
        let mut object = Object::new();
        object.insert("server_name", self.server.to_string());
        object.insert("verify_keys", current);
        object.insert("old_verify_keys", old);
        object.insert("valid_until_ts", now + self.valid_for);
        object
    }

    pub(crate) fn document(&self, now: i64) -> Vec<u8> {
        let mut object = self.unsigned(now);
        for ((version, _, _), seed) in
            self.keys.iter().zip(&self.seeds).filter(|((_, _, expired), _)| expired.is_none())
        {
            let key = SigningKey::from_seed(&[*seed; 32]);
            sign_json(&mut object, &ServerSigner::new(self.server.clone(), key_id(version), key)).unwrap();
        }
        object.to_canonical_vec()
    }
}

pub(crate) fn notary_document(documents: &[Vec<u8>], notary: &str) -> Vec<u8> {
    let seed = 100 + notary[1..2].parse::<u8>().unwrap();
    let signer = ServerSigner::new(name(notary), key_id("n"), SigningKey::from_seed(&[seed; 32]));
    notary_answer(documents.iter().map(Vec::as_slice), &signer).unwrap()
}

pub(crate) fn notaries(count: u8) -> Vec<Notary> {
    let notary = |index: u8| {
        let key = SigningKey::from_seed(&[100 + index; 32]).verifying_key().clone();
        Notary { server_name: name(&format!("n{index}.example")), keys: [(key_id("n"), key)].into() }
    };
    (0..count).map(notary).collect()
}

/// Performs what a machine says, at once.
pub(crate) struct World {
    pub(crate) machine: RemoteKeys,
    pub(crate) origins: BTreeMap<OwnedServerName, Origin>,
    pub(crate) instead: BTreeMap<OwnedServerName, Vec<u8>>,
    pub(crate) notary_instead: Option<Vec<u8>>,
    pub(crate) saved: BTreeMap<OwnedServerName, Vec<u8>>,
    pub(crate) asked: Vec<String>,
    pub(crate) woken: Vec<(WaitId, Outcome)>,
    pub(crate) findings: Vec<Finding>,
}

impl World {
    pub(crate) fn new(notary_count: u8) -> Self {
        Self {
            machine: RemoteKeys::new(FetchPolicy::default(), notaries(notary_count)),
            origins: BTreeMap::new(),
            instead: BTreeMap::new(),
            notary_instead: None,
            saved: BTreeMap::new(),
            asked: Vec::new(),
            woken: Vec::new(),
            findings: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, origin: Origin) {
        self.origins.insert(origin.server.clone(), origin);
    }

    pub(crate) fn run(&mut self, now: i64) {
        while let Some(action) = self.machine.poll(now) {
            match action {
                Action::Load { server } => {
                    self.asked.push(format!("load {server}"));
                    self.machine.loaded(&server, Ok(self.saved.get(&server).map(Vec::as_slice)), now);
                }
                Action::Fetch { id, request } => {
                    let answer = self.answer(request, now);
                    self.machine.fetched(id, answer.as_deref().map_err(|failure| *failure), now);
                }
                Action::Save { server, record } => drop(self.saved.insert(server, record)),
                Action::Wake { wait, outcome } => self.woken.push((wait, outcome)),
                Action::Report(finding) => self.findings.push(finding),
            }
        }
    }

    fn answer(&mut self, request: FetchRequest, now: i64) -> Result<Vec<u8>, FetchFailure> {
        match request {
            FetchRequest::Server { server } => {
                self.asked.push(format!("get {server}"));
                if let Some(instead) = self.instead.get(&server) {
                    return Ok(instead.clone());
                }
                let origin = self.origins.get(&server).filter(|origin| origin.up);
                origin.map(|origin| origin.document(now)).ok_or(FetchFailure)
            }
            FetchRequest::Notary { notary, body } => {
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let servers: Vec<_> = body["server_keys"].as_object().unwrap().keys().cloned().collect();
                self.asked.push(format!("query {notary} {}", servers.join(" ")));
                if let Some(instead) = &self.notary_instead {
                    return Ok(instead.clone());
                }
                let known = servers.iter().filter_map(|server| self.origins.get(&name(server)));
                let documents: Vec<_> = known.map(|origin| origin.document(now)).collect();
                Ok(notary_document(&documents, notary.as_str()))
            }
        }
    }
}
