//! What tenants publish, as the notary asks for it.

use freehold_federation::OwnDocuments;
use freehold_store::Tenant;
use freehold_tenancy::Tenancy;

/// The key documents of tenants.
pub(crate) struct DocumentsOfTenants(pub(crate) Tenancy);

impl OwnDocuments for DocumentsOfTenants {
    fn key_document(&self, tenant: &Tenant, now_ts: i64) -> Option<Vec<u8>> {
        match self.0.keys().key_document(tenant.server_name(), now_ts) {
            Ok(document) => Some(document.json.clone()),
            Err(error) => {
                tracing::error!(tenant = %tenant.server_name(), %error, "keys cannot be published");
                None
            }
        }
    }
}
