//! Who may do what: the operator everything, an administrator of a tenant what concerns that tenant.

use freehold_store::BoxFuture;
use freehold_tenancy::By;
use ruma_common::OwnedUserId;

use crate::command::Command;
use crate::refusal::Refusal;

/// Who gives commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The operator of the process.
    Operator,
    /// A user of a tenant, who administers that tenant if its policy says so.
    TenantAdmin(OwnedUserId),
}

impl Authority {
    /// Who it is, for the audit log.
    pub fn by(&self) -> By {
        match self {
            Authority::Operator => By::Operator,
            Authority::TenantAdmin(user) => By::User(user.clone()),
        }
    }

    /// Refuses what is not this one's to do. Whether the tenant exists makes no difference to the refusal.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, command: &Command) -> Result<(), Refusal> {
        match self {
            Authority::Operator => Ok(()),
            Authority::TenantAdmin(user) if command.tenant() == Some(user.server_name().as_str()) => Ok(()),
            Authority::TenantAdmin(_) => Err(Refusal::forbidden("this is not yours to administer")),
        }
    }
}

/// Knows the administrators of tenants by their access tokens.
pub trait TenantAdmins: Send + Sync {
    /// The user of an access token of the tenant that `host` leads to, if the user administers it.
    fn admin_of_token<'a>(
        &'a self,
        host: &'a str,
        access_token: &'a str,
    ) -> BoxFuture<'a, Option<OwnedUserId>>;
}

#[cfg(test)]
mod tests {
    use ruma_common::user_id;

    use super::*;

    #[test]
    fn an_administrator_of_one_tenant_is_nobody_to_others_and_to_the_process() {
        let admin = Authority::TenantAdmin(user_id!("@admin:example.org").to_owned());
        let show = |server_name: &str| Command::TenantShow { server_name: server_name.to_owned() };
        assert_eq!(admin.check(&show("example.org")), Ok(()));
        let suspend = Command::TenantSuspend { server_name: "example.org".to_owned() };
        let everything = Command::Audit { server_name: None, limit: 1 };
        for command in [show("example.com"), show("no.such"), suspend, everything, Command::TokenList {}] {
            assert!(admin.check(&command).is_err(), "{command:?}");
            assert_eq!(Authority::Operator.check(&command), Ok(()));
        }
    }
}
