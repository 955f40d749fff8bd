//! Tenants as notaries, as the server-server API asks for it.

use freehold_federation::RemoteKeyring;
use freehold_federation_api::{Notary, Unserved};
use freehold_keyring::NotaryQuery;
use freehold_store::{BoxFuture, Tenant};

/// Tenants as notaries for everybody.
pub(crate) struct NotaryTenants(pub(crate) RemoteKeyring);

impl Notary for NotaryTenants {
    fn answer<'a>(
        &'a self,
        tenant: &'a Tenant,
        query: &'a NotaryQuery,
    ) -> BoxFuture<'a, Result<Vec<u8>, Unserved>> {
        Box::pin(async move { self.0.notary(tenant, query).await.map_err(|error| Unserved(Box::new(error))) })
    }
}
