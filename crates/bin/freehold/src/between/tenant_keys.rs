//! What tenants have settled and publish, as the server-server API asks for it.

use freehold_federation_api::{Tenants, Unserved};
use freehold_store::Tenant;
use freehold_tenancy::Tenancy;
use ruma_common::ServerName;

/// The tenants, for the server-server API.
pub(crate) struct KeysOfTenants(pub(crate) Tenancy);

impl Tenants for KeysOfTenants {
    fn speaks_with(&self, tenant: &Tenant, server: &ServerName) -> bool {
        self.0.speak(tenant, server)
    }

    fn key_document(&self, tenant: &Tenant, now_ts: i64) -> Result<Vec<u8>, Unserved> {
        match self.0.keys().key_document(tenant.server_name(), now_ts) {
            Ok(document) => Ok(document.json.clone()),
            Err(error) => Err(Unserved(Box::new(error))),
        }
    }
}
