//! The users of tenants, as the admin API asks for them.

use freehold_accounts::{Accounts, Standing};
use freehold_admin_api::{Authority, TenantUsers};
use freehold_store::BoxFuture;
use freehold_tenancy::{Tenancy, TenantState};

/// The accounts of tenants, some of which administer theirs.
pub(crate) struct UsersOfTenants {
    pub(crate) accounts: Accounts,
    pub(crate) tenancy: Tenancy,
}

impl TenantUsers for UsersOfTenants {
    fn authority_of_token<'a>(
        &'a self,
        host: &'a str,
        access_token: &'a str,
    ) -> BoxFuture<'a, Option<Authority>> {
        Box::pin(async move {
            let found = self.tenancy.by_host(host).filter(|found| found.state == TenantState::Active)?;
            // Whoever is unknown here is so for one reason or another: the answer is the same.
            let session = self.accounts.authenticate(&found.tenant, access_token).await.ok()?;
            if session.standing != Standing::Good {
                return None;
            }
            let administers = self.accounts.is_administrator(&session.actor).await.ok()?;
            let user_id = session.actor.user_id;
            Some(if administers { Authority::TenantAdmin(user_id) } else { Authority::User(user_id) })
        })
    }
}
