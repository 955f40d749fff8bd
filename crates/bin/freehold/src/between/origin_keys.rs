//! The keys of those who send requests, as the server-server API asks for them.

use std::sync::Arc;

use freehold_federation::{Health, RemoteKeyring};
use freehold_federation_api::OriginKeys;
use freehold_signing::{KeyId, KeySource, WantedKey};
use freehold_store::{BoxFuture, Clock, Tenant};
use ruma_common::ServerName;

/// The keys of all servers, tenants among them, and who of them is alive.
pub(crate) struct KeysOfOrigins {
    pub(crate) keyring: RemoteKeyring,
    pub(crate) health: Health,
    pub(crate) clock: Arc<dyn Clock>,
}

impl OriginKeys for KeysOfOrigins {
    fn keys<'a>(
        &'a self,
        _: &'a Tenant,
        origin: &'a ServerName,
        key_id: &'a KeyId,
    ) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        let minimum_valid_until_ts = Some(self.clock.now_ts());
        let wanted = WantedKey { server: origin.to_owned(), key_id: key_id.clone(), minimum_valid_until_ts };
        Box::pin(async move {
            Box::new(self.keyring.keys_for(&[wanted]).await) as Box<dyn KeySource + Send + Sync>
        })
    }

    fn heard_from(&self, origin: &ServerName) {
        self.health.heard_from(origin);
    }
}
