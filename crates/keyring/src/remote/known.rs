//! What is remembered of one server, and how a new document changes it.

use std::collections::BTreeMap;

use freehold_canonical_json::{Limits, Object, Value, parse};
use freehold_signing::{KeyId, KeyValidity, VALIDITY_AHEAD_MAX_MS, VerifyingKey};
use ruma_common::{OwnedServerName, ServerName};

use super::{
    policy::FetchPolicy,
    server_keys::{DocumentError, ServerKeys},
};
use crate::predictable;

/// How a document came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// From the server itself.
    Direct,
    /// From a notary, by its position in the list of notaries.
    Notary(usize),
}

/// Something an operator should see. Nothing depends on its being read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A server uses an identifier for a second key; the first one stays
    /// ([synapse#3121](https://github.com/matrix-org/synapse/issues/3121)).
    KeyIdReused(Box<KeyIdReuse>),
    /// A server has published more keys than are remembered; the new one is refused.
    TooManyKeys {
        /// The server.
        server: OwnedServerName,
        /// The identifier of the refused key.
        key_id: KeyId,
    },
    /// A document was not believed.
    BadDocument {
        /// Whose keys were asked for; `None` when a notary's answer does not tell.
        server: Option<OwnedServerName>,
        /// Who sent it.
        via: Via,
        /// Why.
        error: DocumentError,
    },
    /// A notary sent a document that nobody asked for.
    NotAsked {
        /// Whose keys it has.
        server: OwnedServerName,
        /// The position of the notary.
        notary: usize,
    },
    /// The answer of a notary has no list of documents, or too long a text.
    BadAnswer {
        /// The position of the notary.
        notary: usize,
    },
    /// What the store holds of a server cannot be read. It is left alone, and the keys of the
    /// server are not fetched: they might be others than those seen first.
    BadRecord {
        /// The server.
        server: OwnedServerName,
    },
}

/// One identifier, two keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyIdReuse {
    /// The server.
    pub server: OwnedServerName,
    /// The identifier.
    pub key_id: KeyId,
    /// The key that stays.
    pub known: VerifyingKey,
    /// The key that is refused.
    pub offered: VerifyingKey,
    /// Who said so.
    pub via: Via,
}

/// The keys that a record holds which a machine of remote keys had saved ([`Action::Save`](super::Action::Save)), whether they are still
/// in use or not; `None` when it cannot be read.
pub fn recorded_keys(record: &[u8], server: &ServerName) -> Option<BTreeMap<KeyId, VerifyingKey>> {
    let known = KnownServer::decode(record, server)?;
    Some(known.keys.into_iter().map(|(key_id, known)| (key_id, known.key)).collect())
}

/// Keys by identifier, first seen, never replaced; and the newest document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KnownServer {
    pub(crate) keys: BTreeMap<KeyId, KnownKey>,
    pub(crate) newest: Option<Newest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownKey {
    pub(crate) key: VerifyingKey,
    pub(crate) validity: KeyValidity,
}

/// The document that says what is in use, with the signatures of its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) json: Vec<u8>,
    pub(crate) fetched_ts: i64,
    /// INVARIANT: at most 7 days after `fetched_ts`.
    pub(crate) valid_until_ts: i64,
}

impl Newest {
    /// "Intermediate notary servers should cache a response for half of its lifetime."
    pub(crate) fn half_life_ts(&self) -> i64 {
        self.fetched_ts.saturating_add(self.valid_until_ts.saturating_sub(self.fetched_ts) / 2)
    }
}

impl KnownServer {
    /// Learns from a document fetched at `now_ts`.
    ///
    /// What came from the server itself, or ends later than what is known, decides which keys are
    /// in use; an older document only adds keys. An identifier keeps its first key for ever.
    pub(crate) fn learn(&mut self, document: &ServerKeys, via: Via, now_ts: i64) -> Vec<Finding> {
        // "Servers MUST use the lesser of this field and 7 days into the future".
        let valid_until_ts = document.valid_until_ts.min(now_ts.saturating_add(VALIDITY_AHEAD_MAX_MS));
        let newest_ts = self.newest.as_ref().map(|newest| newest.valid_until_ts);
        let decides = via == Via::Direct || newest_ts.is_none_or(|newest_ts| newest_ts < valid_until_ts);
        let mut findings = Vec::new();
        let current = document.verify_keys.iter();
        let current = current.map(|(key_id, key)| (key_id, key, KeyValidity::Current { valid_until_ts }));
        let old = document.old_verify_keys.iter();
        let old = old.map(|(key_id, (key, ts))| (key_id, key, KeyValidity::Old { expired_ts: *ts }));
        for (key_id, key, validity) in current.chain(old) {
            let offered = KnownKey { key: key.clone(), validity };
            findings.extend(self.learn_key(document, key_id, offered, (via, decides)));
        }
        if decides {
            let json = document.own_json();
            self.newest = Some(Newest { json, fetched_ts: now_ts, valid_until_ts });
        }
        findings
    }

    fn learn_key(
        &mut self,
        document: &ServerKeys,
        key_id: &KeyId,
        offered: KnownKey,
        (via, decides): (Via, bool),
    ) -> Option<Finding> {
        let server = || document.server_name.clone();
        let full = self.keys.len() >= FetchPolicy::KEYS_PER_SERVER_MAX;
        match self.keys.get_mut(key_id) {
            Some(known) if known.key != offered.key => Some(Finding::KeyIdReused(Box::new(KeyIdReuse {
                server: server(),
                key_id: key_id.clone(),
                known: known.key.clone(),
                offered: offered.key,
                via,
            }))),
            Some(known) => {
                known.validity = if decides { offered.validity } else { known.validity };
                None
            }
            None if full => Some(Finding::TooManyKeys { server: server(), key_id: key_id.clone() }),
            None => {
                self.keys.insert(key_id.clone(), offered);
                None
            }
        }
    }

    /// Roughly how many bytes this takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.len() * KEY_BYTES + self.newest.as_ref().map_or(0, |newest| newest.json.len())
    }

    /// The form in which the caller keeps it: canonical JSON.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let keys: Object<'static> = self
            .keys
            .iter()
            .map(|(key_id, known)| {
                let (name, ts) = match known.validity {
                    KeyValidity::Current { valid_until_ts } => ("valid_until_ts", valid_until_ts),
                    KeyValidity::Old { expired_ts } => ("expired_ts", expired_ts),
                };
                let key = Value::from(known.key.to_base64());
                let members: Object<'static> = [("key", key), (name, Value::from(ts))].into_iter().collect();
                (key_id.as_str().to_owned(), members)
            })
            .collect();
        let mut object = Object::new();
        object.insert("keys", keys);
        if let Some(newest) = &self.newest {
            object.insert("document", String::from_utf8_lossy(&newest.json).into_owned());
            object.insert("fetched_ts", newest.fetched_ts);
            object.insert("valid_until_ts", newest.valid_until_ts);
        }
        object.to_canonical_vec()
    }

    /// Reads what [`encode`](Self::encode) wrote for `server`.
    pub(crate) fn decode(json: &[u8], server: &ServerName) -> Option<Self> {
        decode(json, server)
    }
}

/// A key, its identifier, and the nodes of the map they lie in.
const KEY_BYTES: usize = 320;

fn decode(json: &[u8], server: &ServerName) -> Option<KnownServer> {
    let limits = Limits { bytes: 4 * FetchPolicy::DOCUMENT_BYTES_MAX, depth: 4, ..Limits::RELAXED };
    let value = parse(json, &limits).ok()?;
    let object = value.as_object()?;
    let mut known = KnownServer::default();
    for (key_id, entry) in object.get("keys")?.as_object()? {
        let entry = entry.as_object()?;
        let key = VerifyingKey::from_base64(entry.get("key")?.as_str()?).ok()?;
        let ts = |name| entry.get(name).and_then(Value::as_i64);
        let validity = match (ts("valid_until_ts"), ts("expired_ts")) {
            (Some(valid_until_ts), None) => KeyValidity::Current { valid_until_ts },
            (None, Some(expired_ts)) => KeyValidity::Old { expired_ts },
            _ => return None,
        };
        // A key that has become known to the public since it was stored is no longer used.
        if predictable::check_public_key(key.as_bytes()).is_ok() {
            known.keys.insert(KeyId::parse(key_id).ok()?, KnownKey { key, validity });
        }
    }
    if let Some(document) = object.get("document") {
        let json = document.as_str()?.as_bytes().to_vec();
        if ServerKeys::parse(&json).ok()?.server_name != *server {
            return None;
        }
        let ts = |name| object.get(name).and_then(Value::as_i64);
        known.newest =
            Some(Newest { json, fetched_ts: ts("fetched_ts")?, valid_until_ts: ts("valid_until_ts")? });
    }
    Some(known)
}
