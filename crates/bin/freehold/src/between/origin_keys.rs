//! The keys of those who send requests, as the server-server API asks for them.

use std::sync::Arc;

use freehold_federation_api::OriginKeys;
use freehold_rooms::Identities;
use freehold_signing::{KeyId, KeySource, KeyValidity, PublishedKey, VerifyingKey};
use freehold_store::{BoxFuture, Clock, Tenant};
use freehold_tenancy::Tenancy;
use ruma_common::{OwnedServerName, ServerName};

use super::IdentitiesOfTenants;

/// The keys of tenants, who are servers to each other.
pub(crate) struct KeysOfOrigins(pub(crate) Tenancy, pub(crate) Arc<dyn Clock>);

/// A key that was found.
struct OneKey {
    server: OwnedServerName,
    key_id: KeyId,
    found: Option<(VerifyingKey, KeyValidity)>,
}

impl KeySource for OneKey {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        let asked = *server == *self.server && *key_id == self.key_id;
        let (key, validity) = self.found.as_ref().filter(|_| asked)?;
        Some(PublishedKey { key, validity: *validity })
    }
}

impl OriginKeys for KeysOfOrigins {
    fn keys<'a>(
        &'a self,
        _: &'a Tenant,
        origin: &'a ServerName,
        key_id: &'a KeyId,
    ) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        let tenants = IdentitiesOfTenants(self.0.clone());
        let now_ts = self.1.now_ts();
        let found = tenants.tenant(origin).and_then(|tenant| tenants.published_key(&tenant, key_id, now_ts));
        let key = OneKey { server: origin.to_owned(), key_id: key_id.clone(), found };
        Box::pin(std::future::ready(Box::new(key) as Box<dyn KeySource + Send + Sync>))
    }
}
