//! Who may do what: the operator everything, an administrator of a tenant what concerns that tenant.

use freehold_accounts::Doer;
use freehold_store::BoxFuture;
use freehold_tenancy::By;
use ruma_common::{OwnedUserId, UserId};

use crate::command::Command;
use crate::refusal::Refusal;

/// Who gives commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The operator of the process.
    Operator,
    /// A user of a tenant who administers it.
    TenantAdmin(OwnedUserId),
    /// Any other user of a tenant.
    User(OwnedUserId),
}

impl Authority {
    /// Who it is, for the audit log.
    pub fn by(&self) -> By {
        match self {
            Authority::Operator => By::Operator,
            Authority::TenantAdmin(user) | Authority::User(user) => By::User(user.clone()),
        }
    }

    /// The user, if it is one.
    pub(crate) fn user(&self) -> Option<&UserId> {
        match self {
            Authority::Operator => None,
            Authority::TenantAdmin(user) | Authority::User(user) => Some(user),
        }
    }

    /// The user to whose own things this one is confined.
    pub(crate) fn only_own(&self) -> Option<&UserId> {
        match self {
            Authority::Operator | Authority::TenantAdmin(_) => None,
            Authority::User(user) => Some(user),
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
            Authority::User(user)
                if command.is_for_users() && command.tenant() == Some(user.server_name().as_str()) =>
            {
                Ok(())
            }
            Authority::TenantAdmin(_) | Authority::User(_) => {
                Err(Refusal::forbidden("this is not yours to administer"))
            }
        }
    }
}

/// Who it is, for what accounts write into the audit log.
pub(crate) fn doer(authority: &Authority) -> Doer<'_> {
    authority.user().map_or(Doer::Operator, Doer::User)
}

/// Knows the users of tenants by their access tokens.
pub trait TenantUsers: Send + Sync {
    /// What the user of an access token of the tenant that `host` leads to may do, if there is one in good standing:
    /// [`Authority::TenantAdmin`] or [`Authority::User`].
    fn authority_of_token<'a>(
        &'a self,
        host: &'a str,
        access_token: &'a str,
    ) -> BoxFuture<'a, Option<Authority>>;
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

    #[test]
    fn an_administrator_acts_on_users_of_the_own_tenant_only() {
        let admin = Authority::TenantAdmin(user_id!("@admin:example.org").to_owned());
        let user = Authority::User(user_id!("@user:example.org").to_owned());
        let about = |user_id: &str| -> [Command; 4] {
            let user_id = user_id.to_owned();
            [
                Command::UserShow { user_id: user_id.clone() },
                Command::UserLock { user_id: user_id.clone() },
                Command::UserDeactivate { user_id: user_id.clone(), erase: true },
                Command::UserResetPassword { user_id, password: None, keep_sessions: false },
            ]
        };
        for command in about("@somebody:example.org") {
            assert_eq!(admin.check(&command), Ok(()));
            assert!(user.check(&command).is_err(), "{command:?}");
        }
        for whom in ["@somebody:example.com", "@somebody:example.org:8448", "somebody", "@:", "example.org"] {
            for command in about(whom) {
                assert!(admin.check(&command).is_err(), "{command:?}");
            }
        }
    }

    #[test]
    fn a_user_invites_for_himself_at_his_own_tenant_and_does_nothing_else() {
        let user = Authority::User(user_id!("@user:example.org").to_owned());
        let invite = |server_name: &str, by: Option<&str>| Command::InvitationAdd {
            server_name: server_name.to_owned(),
            by: by.map(str::to_owned),
        };
        assert_eq!(user.check(&invite("example.org", None)), Ok(()));
        let policy = Command::TenantPolicy { server_name: "example.org".to_owned(), set: None };
        for command in [invite("example.com", None), invite("example.org", Some("@a:example.org")), policy] {
            assert!(user.check(&command).is_err(), "{command:?}");
        }
    }
}
