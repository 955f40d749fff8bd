//! Tenants as notaries, as the server-server API asks for it.

use std::sync::Arc;

use freehold_federation_api::{Notary, Unserved};
use freehold_keyring::{NotaryQuery, Purpose, notary_answer};
use freehold_store::{BoxFuture, Clock, Tenant};
use freehold_tenancy::{Tenancy, TenantState};

/// Tenants as notaries for what is known without asking anybody: keys of tenants.
pub(crate) struct NotaryTenants(pub(crate) Tenancy, pub(crate) Arc<dyn Clock>);

impl Notary for NotaryTenants {
    fn answer<'a>(
        &'a self,
        tenant: &'a Tenant,
        query: &'a NotaryQuery,
    ) -> BoxFuture<'a, Result<Vec<u8>, Unserved>> {
        Box::pin(std::future::ready(self.sign(tenant, query)))
    }
}

impl NotaryTenants {
    fn sign(&self, tenant: &Tenant, query: &NotaryQuery) -> Result<Vec<u8>, Unserved> {
        let now_ts = self.1.now_ts();
        let mut documents = Vec::new();
        for server in query.servers() {
            let Some(found) =
                self.0.by_server_name(server).filter(|found| found.state == TenantState::Active)
            else {
                continue;
            };
            let document = self.0.keys().key_document(found.tenant.server_name(), now_ts);
            documents.push(document.map_err(|error| Unserved(Box::new(error)))?);
        }
        let purpose = Purpose::Notary { server: tenant.server_name() };
        let signer = self.0.keys().signer(tenant.server_name(), purpose, now_ts);
        let signer = signer.map_err(|error| Unserved(Box::new(error)))?;
        let texts = documents.iter().map(|document| document.json.as_slice());
        notary_answer(texts, &signer).map_err(|error| Unserved(Box::new(error)))
    }
}
