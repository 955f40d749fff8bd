//! The handle by which everything that belongs to a tenant is asked for.

use std::fmt;
use std::sync::Arc;

use ruma_common::{OwnedServerName, ServerName, UserId};

use crate::number::TenantNumber;

/// A tenant of this process: who "we" are for one request, job or event.
///
/// There is no process-wide server name to fall back to; whatever needs to know who we are takes one of these.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(Arc<Identity>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Identity {
    number: TenantNumber,
    server_name: OwnedServerName,
}

impl Tenant {
    /// The tenant with this number and name. The number is never given to another name.
    pub fn new(number: TenantNumber, server_name: OwnedServerName) -> Self {
        Tenant(Arc::new(Identity { number, server_name }))
    }

    /// Its number in keys of tables.
    pub fn number(&self) -> TenantNumber {
        self.0.number
    }

    /// Its name in Matrix: the domain of its users.
    pub fn server_name(&self) -> &ServerName {
        &self.0.server_name
    }

    /// Whether `user_id` is a user of this tenant.
    pub fn owns(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name()
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({})", self.server_name())
    }
}
