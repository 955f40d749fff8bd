//! The keys with which events of many servers are verified: of tenants as they publish them, of others as they are had.

use std::collections::BTreeMap;

use freehold_event::Pdu;
use freehold_signing::{KeyId, KeySource, PublishedKey, WantedKey, wanted_keys};
use freehold_store::Tenant;
use ruma_common::{OwnedServerName, ServerName};

use crate::rooms::Rooms;
use crate::sign::HostedKeys;

/// The keys for some events.
pub(crate) struct Keys {
    hosted: HostedKeys,
    others: Box<dyn KeySource + Send + Sync>,
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
        let identities = &self.0.outside.identities;
        let (hosted, others): (Vec<WantedKey>, Vec<WantedKey>) =
            wanted.partition(|key| identities.tenant(&key.server).is_some());
        let hosted = HostedKeys::wanted(self, hosted, self.now_ts());
        Keys { hosted, others: self.0.outside.remote.keys(tenant, &others).await }
    }
}

impl KeySource for Keys {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        self.hosted.key(server, key_id).or_else(|| self.others.key(server, key_id))
    }
}
