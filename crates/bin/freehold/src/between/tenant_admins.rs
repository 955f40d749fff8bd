//! The administrators of tenants, as the admin API asks for them.

use freehold_accounts::{Accounts, Standing};
use freehold_admin_api::TenantAdmins;
use freehold_store::BoxFuture;
use freehold_tenancy::{Tenancy, TenantState};
use ruma_common::OwnedUserId;

/// The accounts that administer their tenants.
pub(crate) struct AdminsOfTenants {
    pub(crate) accounts: Accounts,
    pub(crate) tenancy: Tenancy,
}

impl TenantAdmins for AdminsOfTenants {
    fn admin_of_token<'a>(
        &'a self,
        host: &'a str,
        access_token: &'a str,
    ) -> BoxFuture<'a, Option<OwnedUserId>> {
        Box::pin(async move {
            let found = self.tenancy.by_host(host).filter(|found| found.state == TenantState::Active)?;
            // Whoever is unknown here is so for one reason or another: the answer is the same.
            let session = self.accounts.authenticate(&found.tenant, access_token).await.ok()?;
            let admin = session.admin && session.standing == Standing::Good;
            admin.then_some(session.actor.user_id)
        })
    }
}
