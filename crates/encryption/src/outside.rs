//! What this crate asks of others.

use freehold_store::{BoxFuture, Tenant};
use ruma_common::ServerName;

/// Which servers a tenant reaches.
pub trait Servers: Send + Sync {
    /// The tenant of this process that answers for `server_name` when `asker` asks it; `None` for servers elsewhere, for those
    /// that do not answer now, and for those with which one of the two refuses to speak.
    fn reach<'a>(&'a self, asker: &'a Tenant, server_name: &'a ServerName) -> BoxFuture<'a, Option<Tenant>>;
}
