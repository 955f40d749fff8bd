//! Keys as they were known at one time.

use std::collections::BTreeMap;

use freehold_signing::{KeyId, KeySource, KeyValidity, PreparedKeys, PublishedKey, VerifyingKey};
use ruma_common::{OwnedServerName, ServerName};

/// Keys as they were known at one time: what a verification takes.
#[derive(Clone, Debug, Default)]
pub struct KeySnapshot {
    keys: BTreeMap<OwnedServerName, BTreeMap<KeyId, (VerifyingKey, KeyValidity)>>,
    /// Outlives the snapshot: the keys that are used again and again verify faster.
    prepared: Option<PreparedKeys>,
}

impl KeySnapshot {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.values().map(BTreeMap::len).sum()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds the keys of another snapshot.
    pub fn extend(&mut self, other: KeySnapshot) {
        self.prepared = self.prepared.take().or(other.prepared);
        for (server, keys) in other.keys {
            self.keys.entry(server).or_default().extend(keys);
        }
    }

    pub(super) fn with_prepared(prepared: Option<PreparedKeys>) -> Self {
        Self { keys: BTreeMap::new(), prepared }
    }

    pub(super) fn insert(&mut self, server: &ServerName, key_id: &KeyId, key: (VerifyingKey, KeyValidity)) {
        self.keys.entry(server.to_owned()).or_default().insert(key_id.clone(), key);
    }
}

impl KeySource for KeySnapshot {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        let (key, validity) = self.keys.get(server)?.get(key_id)?;
        Some(PublishedKey { key, validity: *validity })
    }

    fn prepared(&self) -> Option<&PreparedKeys> {
        self.prepared.as_ref()
    }
}
