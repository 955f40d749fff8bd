//! Which servers a tenant reaches, as encryption asks for it.

use freehold_encryption::Servers;
use freehold_store::Tenant;
use freehold_tenancy::Tenancy;
use ruma_common::ServerName;

/// Tenants as servers to each other: within the policies of both.
pub(crate) struct TenantsAsServers(pub(crate) Tenancy);

impl Servers for TenantsAsServers {
    fn reach(&self, asker: &Tenant, server_name: &ServerName) -> Option<Tenant> {
        self.0.reach(asker, server_name)
    }
}
