//! What administrators of a tenant do to its accounts
//! (<https://spec.matrix.org/v1.19/client-server-api/#account-moderation>).

use freehold_store::tables::accounts::{
    ACCOUNTS, AccountRow, DEVICE_NUMBERS, DEVICE_TOKENS, TENANT_ACCOUNTS, TokenHash,
};
use freehold_store::{Actor, Batch, Order, ReadError, Snapshot, Tenant, UserNumber};
use ruma_common::{OwnedUserId, UserId};

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::device::Device;
use crate::failure::{ServerFailure, server_failures};
use crate::policies::{AdministrativeAct, Doer};

/// How an account can be restrained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restraint {
    /// The user can do nothing but log out.
    Locked,
    /// The user can do little but read.
    Suspended,
}

/// Why an administrator cannot do something to an account.
#[derive(Debug, thiserror::Error)]
pub enum ModerationError {
    /// Who asks does not administer the tenant.
    #[error("only administrators of this server may do this")]
    NotAdministrator,
    /// The user is of another server.
    #[error("user does not belong to this server")]
    Foreign,
    /// The user is the one who asks.
    #[error("administrators cannot do this to themselves")]
    Oneself,
    /// The user is an administrator, too.
    #[error("administrators cannot do this to each other")]
    Administrator,
    /// There is no such account, or it was given up.
    #[error("no such user")]
    Unknown,
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(ModerationError);

/// An account, for administrators and operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFacts {
    /// The user.
    pub user_id: OwnedUserId,
    /// The number of the user.
    pub user: UserNumber,
    /// When the account was made, in milliseconds since the Unix epoch.
    pub created_ts: i64,
    /// Whether the user administers the tenant.
    pub admin: bool,
    /// Whether it is locked.
    pub locked: bool,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Whether it was given up.
    pub deactivated: bool,
}

impl Accounts {
    /// Whether the actor administers the tenant.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn is_administrator(&self, actor: &Actor) -> Result<bool, ServerFailure> {
        let row = self.store().snapshot()?.get(&ACCOUNTS, &actor.user).await?;
        self.administers(&actor.tenant, &actor.user_id, row.as_ref()).await
    }

    /// Whether an account of the actor's tenant is restrained.
    ///
    /// # Errors
    /// [`ModerationError`].
    pub async fn is_restrained(
        &self,
        actor: &Actor,
        user_id: &UserId,
        restraint: Restraint,
    ) -> Result<bool, ModerationError> {
        self.require_administrator(actor).await?;
        let (_, row) = self.moderated(&actor.tenant, user_id).await?;
        if self.administers(&actor.tenant, user_id, Some(&row)).await? && *user_id != *actor.user_id {
            return Err(ModerationError::Administrator);
        }
        Ok(match restraint {
            Restraint::Locked => row.locked,
            Restraint::Suspended => row.suspended,
        })
    }

    /// Restrains an account of the actor's tenant, or lets it go.
    ///
    /// # Errors
    /// [`ModerationError`].
    pub async fn restrain(
        &self,
        actor: &Actor,
        user_id: &UserId,
        what: (Restraint, bool),
    ) -> Result<(), ModerationError> {
        self.require_administrator(actor).await?;
        self.restrain_by(&actor.tenant, user_id, what, Doer::User(&actor.user_id)).await
    }

    /// Restrains an account of a tenant, or lets it go, for the operator or for an administrator of the tenant, which
    /// was asked before.
    ///
    /// # Errors
    /// [`ModerationError`].
    pub async fn restrain_by(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
        (restraint, on): (Restraint, bool),
        by: Doer<'_>,
    ) -> Result<(), ModerationError> {
        let mut attempts = Attempts::default();
        loop {
            let (user, row) = self.subject(tenant, user_id, by).await?;
            let new = restrained(row.clone(), restraint, on);
            let act = AdministrativeAct { by, name: act_name(restraint, on), user_id: Some(user_id) };
            let mut batch = Batch::new();
            batch.expect_unchanged(&ACCOUNTS, &user, Some(&row));
            batch.put(&ACCOUNTS, &user, &new);
            batch.wake(user);
            self.0.given.policies.record(&mut batch, tenant, &act);
            if attempts.commit(self.store(), batch).await?.is_some() {
                let tokens = tokens_of(&self.store().snapshot()?, user).await?;
                self.0.sessions.forget(&tokens);
                return Ok(());
            }
        }
    }

    /// The devices of a user of the actor's tenant, for administrators and the user.
    ///
    /// # Errors
    /// [`ModerationError`].
    pub async fn who_is(&self, actor: &Actor, user_id: &UserId) -> Result<Vec<Device>, ModerationError> {
        let user = if *user_id == *actor.user_id {
            actor.user
        } else {
            self.require_administrator(actor).await?;
            self.moderated(&actor.tenant, user_id).await?.0
        };
        Ok(self.devices(&self.store().snapshot()?, user).await?)
    }

    /// An account of a tenant, given up or not, and its devices.
    ///
    /// # Errors
    /// [`ModerationError::Foreign`], [`ModerationError::Unknown`].
    pub async fn account(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
    ) -> Result<(AccountFacts, Vec<Device>), ModerationError> {
        if !tenant.owns(user_id) {
            return Err(ModerationError::Foreign);
        }
        let snapshot = self.store().snapshot()?;
        let found = self.account_of(&snapshot, user_id).await?;
        let found = found.filter(|(_, row)| row.tenant == tenant.number());
        let (user, row) = found.ok_or(ModerationError::Unknown)?;
        let admin = self.administers(tenant, user_id, Some(&row)).await?;
        let facts = facts(user, user_id.to_owned(), AccountRow { admin, ..row });
        Ok((facts, self.devices(&snapshot, user).await?))
    }

    /// Up to `limit` accounts of a tenant, given up or not, in the order in which they came, after that of a user.
    ///
    /// # Errors
    /// [`ModerationError::Foreign`] or [`ModerationError::Unknown`], when `after` has no account.
    pub async fn accounts_of(
        &self,
        tenant: &Tenant,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<AccountFacts>, ModerationError> {
        let first = match after {
            Some(after) => UserNumber(self.account(tenant, after).await?.0.user.0.saturating_add(1)),
            None => UserNumber(0),
        };
        let snapshot = self.store().snapshot()?;
        let range = (&(tenant.number(), first), &(tenant.number(), UserNumber(u64::MAX)));
        let found = snapshot.scan_range(&TENANT_ACCOUNTS, range, Order::Ascending, limit).await?;
        let users: Vec<UserNumber> = found.into_iter().map(|((_, user), ())| user).collect();
        let rows = snapshot.get_many(&ACCOUNTS, &users).await?;
        let user_ids = snapshot.ids_of(&users).await?;
        let named = &self.policy(tenant).await?.admins;
        let accounts = users.into_iter().zip(user_ids).zip(rows);
        let known = |(user, user_id, row): (UserNumber, OwnedUserId, AccountRow)| {
            let admin = row.admin || named.contains(&user_id);
            facts(user, user_id, AccountRow { admin, ..row })
        };
        Ok(accounts.filter_map(|((user, user_id), row)| Some(known((user, user_id, row?)))).collect())
    }

    async fn require_administrator(&self, actor: &Actor) -> Result<(), ModerationError> {
        if self.is_administrator(actor).await? { Ok(()) } else { Err(ModerationError::NotAdministrator) }
    }

    async fn administers(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
        row: Option<&AccountRow>,
    ) -> Result<bool, ServerFailure> {
        Ok(row.is_some_and(|row| row.admin) || self.policy(tenant).await?.admins.contains(user_id))
    }

    /// The account of a user of a tenant to which this one may do something: the operator to everybody, an administrator
    /// neither to himself nor to another.
    pub(crate) async fn subject(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
        by: Doer<'_>,
    ) -> Result<(UserNumber, AccountRow), ModerationError> {
        if by == Doer::User(user_id) {
            return Err(ModerationError::Oneself);
        }
        let (user, row) = self.moderated(tenant, user_id).await?;
        if by != Doer::Operator && self.administers(tenant, user_id, Some(&row)).await? {
            return Err(ModerationError::Administrator);
        }
        Ok((user, row))
    }

    /// The account of a user of a tenant that was not given up.
    async fn moderated(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
    ) -> Result<(UserNumber, AccountRow), ModerationError> {
        if !tenant.owns(user_id) {
            return Err(ModerationError::Foreign);
        }
        let found = self.account_of(&self.store().snapshot()?, user_id).await?;
        let found = found.filter(|(_, row)| row.tenant == tenant.number() && row.deactivated.is_none());
        found.ok_or(ModerationError::Unknown)
    }
}

fn restrained(row: AccountRow, restraint: Restraint, on: bool) -> AccountRow {
    match restraint {
        Restraint::Locked => AccountRow { locked: on, ..row },
        Restraint::Suspended => AccountRow { suspended: on, ..row },
    }
}

fn act_name(restraint: Restraint, on: bool) -> &'static str {
    match (restraint, on) {
        (Restraint::Locked, true) => "account lock",
        (Restraint::Locked, false) => "account unlock",
        (Restraint::Suspended, true) => "account suspend",
        (Restraint::Suspended, false) => "account unsuspend",
    }
}

async fn tokens_of(snapshot: &Snapshot, user: UserNumber) -> Result<Vec<TokenHash>, ReadError> {
    let devices = snapshot.scan_prefix(&DEVICE_NUMBERS, &(user,), Order::Ascending, usize::MAX).await?;
    let mut tokens = Vec::new();
    for (_, device) in devices {
        let found = snapshot.scan_prefix(&DEVICE_TOKENS, &(device,), Order::Ascending, usize::MAX).await?;
        tokens.extend(found.into_iter().map(|((_, hash), _)| hash));
    }
    Ok(tokens)
}

fn facts(user: UserNumber, user_id: OwnedUserId, row: AccountRow) -> AccountFacts {
    AccountFacts {
        user_id,
        user,
        created_ts: row.created_ts,
        admin: row.admin,
        locked: row.locked,
        suspended: row.suspended,
        deactivated: row.deactivated.is_some(),
    }
}
