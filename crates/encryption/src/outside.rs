//! What this crate asks of others.

use freehold_store::Tenant;
use ruma_common::ServerName;

/// Which servers a tenant reaches.
pub trait Servers: Send + Sync {
    /// The tenant of this process that answers for `server_name` when `asker` asks it; `None` for servers elsewhere, for those
    /// that do not answer now, and for those with which one of the two refuses to speak.
    fn reach(&self, asker: &Tenant, server_name: &ServerName) -> Option<Tenant>;
}
