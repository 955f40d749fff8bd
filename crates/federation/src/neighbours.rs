//! With whom tenants speak.

use freehold_store::Tenant;
use ruma_common::ServerName;

/// With whom tenants speak, by their policies.
pub trait Neighbours: Send + Sync {
    /// Whether a tenant speaks with a server.
    fn speaks_with(&self, tenant: &Tenant, server: &ServerName) -> bool;
}

/// Everybody speaks with everybody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everybody;

impl Neighbours for Everybody {
    fn speaks_with(&self, _: &Tenant, _: &ServerName) -> bool {
        true
    }
}
