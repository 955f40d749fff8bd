//! Which tenants let be known who is online, as sync asks for it.

use freehold_store::{BoxFuture, Tenant};
use freehold_sync::PresencePolicies;
use freehold_tenancy::Tenancy;

/// The feature that a tenant may not want.
const PRESENCE: &str = "presence";

/// The policies of tenants, for sync.
pub(crate) struct PresenceOfTenants(pub(crate) Tenancy);

impl PresencePolicies for PresenceOfTenants {
    fn shows_presence<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let policy = self.0.policy(tenant).await;
            policy.is_ok_and(|policy| !policy.features_off.contains(PRESENCE))
        })
    }
}
