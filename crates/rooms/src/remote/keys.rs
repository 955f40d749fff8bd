//! The keys with which events of many servers are verified: of tenants as they publish them, of others as they are had.

use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_event::Pdu;
use freehold_signing::{KeyId, KeySource, KeyValidity, PublishedKey, WantedKey, wanted_keys};
use freehold_store::Tenant;
use ruma_common::{OwnedServerName, ServerName};

use crate::rooms::Rooms;
use crate::sign::HostedKeys;

/// The keys for some events.
pub(crate) struct Keys {
    hosted: HostedKeys,
    others: Sources,
}

/// Keys of other servers as they came.
#[derive(Default)]
struct Sources {
    all: Vec<Arc<dyn KeySource + Send + Sync>>,
    /// Which of them were asked about a server; what came last counts.
    about: BTreeMap<OwnedServerName, Vec<usize>>,
}

/// Keys that are fetched while the events for which they are needed still come.
#[derive(Default)]
pub(crate) struct KeysOfMany {
    wanted: BTreeMap<(OwnedServerName, KeyId), Validity>,
    hosted: Vec<WantedKey>,
    others: Sources,
}

/// Until when a key must be valid at least, if that matters.
struct Validity {
    asked: Option<i64>,
    wanted: Option<i64>,
}

impl Rooms {
    /// Gets the keys with which some events are signed by those who must, as far as they can be had. Each key is asked
    /// for once.
    pub(crate) async fn keys_for<'p>(&self, tenant: &Tenant, pdus: impl Iterator<Item = &'p Pdu>) -> Keys {
        let mut wanted: BTreeMap<(OwnedServerName, KeyId), Option<i64>> = BTreeMap::new();
        for key in pdus.filter_map(|pdu| wanted_keys(pdu).ok()).flatten() {
            let until = wanted.entry((key.server, key.key_id)).or_default();
            *until = (*until).max(key.minimum_valid_until_ts);
        }
        let wanted = wanted.into_iter().map(|((server, key_id), minimum_valid_until_ts)| WantedKey {
            server,
            key_id,
            minimum_valid_until_ts,
        });
        let (hosted, others): (Vec<WantedKey>, Vec<WantedKey>) =
            wanted.partition(|key| self.is_hosted(&key.server));
        let hosted = HostedKeys::wanted(self, hosted, self.now_ts());
        let source = self.0.outside.remote.keys(tenant, &others).await;
        let mut sources = Sources::default();
        sources.add(others.into_iter().map(|key| key.server), source);
        Keys { hosted, others: sources }
    }

    pub(super) fn is_hosted(&self, server: &ServerName) -> bool {
        self.0.outside.identities.tenant(server).is_some()
    }
}

impl KeysOfMany {
    /// Notes with which keys an event is signed; gives those that are to be asked for now.
    pub(crate) fn note(&mut self, rooms: &Rooms, keys: Vec<WantedKey>) -> Vec<WantedKey> {
        let mut new = Vec::new();
        for key in keys {
            let until = key.minimum_valid_until_ts;
            let id = (key.server, key.key_id);
            if let Some(validity) = self.wanted.get_mut(&id) {
                validity.wanted = validity.wanted.max(until);
                continue;
            }
            let (server, key_id) = id.clone();
            self.wanted.insert(id, Validity { asked: until, wanted: until });
            let key = WantedKey { server, key_id, minimum_valid_until_ts: until };
            match rooms.is_hosted(&key.server) {
                true => self.hosted.push(key),
                false => new.push(key),
            }
        }
        new
    }

    /// Takes the keys that came when these servers were asked about.
    pub(crate) fn came(&mut self, servers: Vec<OwnedServerName>, source: Box<dyn KeySource + Send + Sync>) {
        self.others.add(servers.into_iter(), source);
    }

    /// Keys that came and must be valid for longer than was asked for first, and than they are. Each is given once.
    pub(crate) fn late(&mut self) -> Vec<WantedKey> {
        let mut late = Vec::new();
        for ((server, key_id), validity) in &mut self.wanted {
            let until = std::mem::replace(&mut validity.asked, validity.wanted);
            let Some(wanted) = validity.wanted.filter(|wanted| until.is_none_or(|until| until < *wanted))
            else {
                continue;
            };
            let known = self.others.key(server, key_id).map(|key| key.validity);
            if matches!(known, Some(KeyValidity::Current { valid_until_ts }) if valid_until_ts < wanted) {
                late.push(WantedKey {
                    server: server.clone(),
                    key_id: key_id.clone(),
                    minimum_valid_until_ts: Some(wanted),
                });
            }
        }
        late
    }

    /// Whether keys of a server came, or an answer without them.
    pub(crate) fn has_answer_about(&self, server: &ServerName) -> bool {
        self.others.about.contains_key(server)
    }

    /// What came of some servers.
    pub(crate) fn of_servers<'s>(&self, servers: impl Iterator<Item = &'s OwnedServerName>) -> Keys {
        let about = servers.filter_map(|server| self.others.about.get_key_value(server));
        let about = about.map(|(server, places)| (server.clone(), places.clone())).collect();
        Keys { hosted: HostedKeys::default(), others: Sources { all: self.others.all.clone(), about } }
    }

    /// All that came.
    pub(crate) fn into_keys(self, rooms: &Rooms) -> Keys {
        Keys { hosted: HostedKeys::wanted(rooms, self.hosted, rooms.now_ts()), others: self.others }
    }
}

impl Sources {
    fn add(
        &mut self,
        servers: impl Iterator<Item = OwnedServerName>,
        source: Box<dyn KeySource + Send + Sync>,
    ) {
        let place = self.all.len();
        self.all.push(source.into());
        for server in servers {
            let places = self.about.entry(server).or_default();
            // Of several keys of a server each was asked for.
            if places.last() != Some(&place) {
                places.push(place);
            }
        }
    }
}

impl KeySource for Sources {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        let mut places = self.about.get(server)?.iter().rev();
        places.find_map(|place| self.all.get(*place)?.key(server, key_id))
    }
}

impl KeySource for Keys {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        self.hosted.key(server, key_id).or_else(|| self.others.key(server, key_id))
    }
}
