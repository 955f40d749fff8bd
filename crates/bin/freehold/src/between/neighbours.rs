//! With whom tenants speak, as requests to other servers ask for it.

use freehold_federation::Neighbours;
use freehold_store::Tenant;
use freehold_tenancy::Tenancy;
use ruma_common::ServerName;

/// What the policies of tenants allow.
pub(crate) struct NeighboursOfTenants(pub(crate) Tenancy);

impl Neighbours for NeighboursOfTenants {
    fn speaks_with(&self, tenant: &Tenant, server: &ServerName) -> bool {
        self.0.speaks_with(tenant, server)
    }
}
