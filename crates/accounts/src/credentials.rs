//! New passwords for accounts that exist.

use freehold_store::tables::accounts::{ACCOUNTS, AccountRow, PasswordRow};
use freehold_store::{Actor, DeviceNumber, Tenant, UserNumber};
use ruma_common::UserId;

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::device::Removal;
use crate::failure::{ServerFailure, server_failures};
use crate::password::{Password, PasswordError};

/// The highest cost of a bcrypt hash that is taken: comparing takes about two seconds with it.
const BCRYPT_COST_MAX: u32 = 15;

/// What becomes of the other sessions when a password changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherSessions {
    /// They go on.
    Keep,
    /// They end, with their devices.
    End,
}

/// Why an account has no new password.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The tenant has no such account.
    #[error("no such account")]
    Unknown,
    /// It is no bcrypt hash, or one that takes too long to compare.
    #[error("not a bcrypt hash of cost 4 to 15")]
    Bcrypt,
    /// The password cannot be taken.
    #[error(transparent)]
    Password(PasswordError),
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(CredentialsError);

impl From<PasswordError> for CredentialsError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Server(failure) => CredentialsError::Server(failure),
            other => CredentialsError::Password(other),
        }
    }
}

impl Accounts {
    /// Gives the actor a new password. The session from which the actor asks goes on.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn change_password(
        &self,
        actor: &Actor,
        password: &Password,
        others: OtherSessions,
    ) -> Result<(), CredentialsError> {
        self.check_password(&actor.tenant, password).await?;
        let row = self.0.passwords.hash(password, 0).await?;
        self.write_password(actor.user, row, (others, actor.device)).await
    }

    /// Gives a user of a tenant a new password, as an administrator does.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn set_password(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
        (password, others): (&Password, OtherSessions),
    ) -> Result<(), CredentialsError> {
        let user = self.account_of_tenant(tenant, user_id).await?;
        let row = self.0.passwords.hash(password, 0).await?;
        self.write_password(user, row, (others, None)).await
    }

    /// Gives a user of a tenant the password that has a bcrypt hash, as other servers keep it. At the first login with
    /// it, it is hashed anew.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn import_bcrypt(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
        (hash, pepper): (&str, &str),
    ) -> Result<(), CredentialsError> {
        let parts: bcrypt::HashParts = hash.parse().map_err(|_| CredentialsError::Bcrypt)?;
        if !(4..=BCRYPT_COST_MAX).contains(&parts.get_cost()) {
            return Err(CredentialsError::Bcrypt);
        }
        let user = self.account_of_tenant(tenant, user_id).await?;
        let row = PasswordRow::Bcrypt { hash: hash.to_owned(), pepper: pepper.to_owned() };
        self.write_password(user, row, (OtherSessions::Keep, None)).await
    }

    async fn account_of_tenant(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
    ) -> Result<UserNumber, CredentialsError> {
        let found = self.account_of(&self.store().snapshot()?, user_id).await?;
        let found = found.filter(|(_, row)| row.tenant == tenant.number() && row.deactivated.is_none());
        found.map(|(user, _)| user).ok_or(CredentialsError::Unknown)
    }

    async fn write_password(
        &self,
        user: UserNumber,
        password: PasswordRow,
        (others, except): (OtherSessions, Option<DeviceNumber>),
    ) -> Result<(), CredentialsError> {
        let mut attempts = Attempts::default();
        loop {
            let snapshot = self.store().snapshot()?;
            let row = snapshot.get(&ACCOUNTS, &user).await?.ok_or(CredentialsError::Unknown)?;
            if row.deactivated.is_some() {
                return Err(CredentialsError::Unknown);
            }
            let mut removal = Removal::default();
            if others == OtherSessions::End {
                self.remove_all_devices(&snapshot, (user, except), &mut removal).await?;
            }
            let new = AccountRow { password: Some(password.clone()), ..row.clone() };
            removal.batch.expect_unchanged(&ACCOUNTS, &user, Some(&row));
            removal.batch.put(&ACCOUNTS, &user, &new);
            if attempts.commit(self.store(), removal.batch).await?.is_some() {
                self.0.sessions.forget(&removal.tokens);
                return Ok(());
            }
        }
    }
}
