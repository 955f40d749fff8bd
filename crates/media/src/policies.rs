//! What this crate asks of others.

use freehold_store::{BoxFuture, Tenant};
use ruma_common::ServerName;

/// What a tenant wants of media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPolicy {
    /// Whether its users may upload.
    pub uploads: bool,
    /// Most bytes of a file; never more than the server takes.
    pub file_bytes: Option<u64>,
    /// Most bytes of all files of a user.
    pub user_bytes: Option<u64>,
    /// Most bytes of all files of the tenant.
    pub tenant_bytes: Option<u64>,
    /// Most bytes of a file that is fetched from another server; never more than the server takes.
    pub others_file_bytes: Option<u64>,
    /// Most bytes of all that is kept of other servers; without it, as many as the server keeps for each tenant.
    pub others_bytes: Option<u64>,
    /// Media uploaded before this time, in milliseconds since the Unix epoch, are given to everybody who asks the deprecated
    /// endpoints: `i64::MAX` for all, `i64::MIN` for none.
    pub frozen_ts: i64,
}

impl Default for MediaPolicy {
    /// No limits but the server's; what was uploaded here is given to users only.
    fn default() -> Self {
        MediaPolicy {
            uploads: true,
            file_bytes: None,
            user_bytes: None,
            tenant_bytes: None,
            others_file_bytes: None,
            others_bytes: None,
            frozen_ts: i64::MIN,
        }
    }
}

/// Knows tenants.
pub trait Policies: Send + Sync {
    /// What a tenant wants.
    fn policy<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, MediaPolicy>;

    /// The tenant of this process that answers for `server_name` when `asker` asks it; `None` for servers elsewhere, for those
    /// that do not answer now, and for those with which one of the two refuses to speak.
    fn reach<'a>(&'a self, asker: &'a Tenant, server_name: &'a ServerName) -> BoxFuture<'a, Option<Tenant>>;
}
