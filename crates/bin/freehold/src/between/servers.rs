//! Which servers a tenant reaches, as encryption asks for it.

use freehold_encryption::Servers;
use freehold_store::Tenant;
use freehold_tenancy::{Tenancy, TenantState};
use ruma_common::ServerName;

/// Tenants as servers to each other: within the policies of both.
pub(crate) struct TenantsAsServers(pub(crate) Tenancy);

impl Servers for TenantsAsServers {
    fn reach(&self, asker: &Tenant, server_name: &ServerName) -> Option<Tenant> {
        if asker.server_name() == server_name {
            return Some(asker.clone());
        }
        let found = self.0.by_server_name(server_name).filter(|found| found.state == TenantState::Active)?;
        let speak =
            self.0.speaks_with(asker, server_name) && self.0.speaks_with(&found.tenant, asker.server_name());
        speak.then_some(found.tenant)
    }
}
