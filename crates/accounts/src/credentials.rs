//! New passwords for accounts that exist.

use freehold_store::tables::accounts::{ACCOUNTS, AccountRow, PasswordRow};
use freehold_store::{Actor, DeviceNumber, Tenant, UserNumber};
use ruma_common::UserId;

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::device::Removal;
use crate::failure::{ServerFailure, server_failures};
use crate::moderation::ModerationError;
use crate::password::{Password, PasswordError};
use crate::policies::{AdministrativeAct, Doer};

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
    /// The account is not this one's to change.
    #[error(transparent)]
    Moderation(ModerationError),
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

impl From<ModerationError> for CredentialsError {
    fn from(error: ModerationError) -> Self {
        match error {
            ModerationError::Server(failure) => CredentialsError::Server(failure),
            ModerationError::Unknown => CredentialsError::Unknown,
            other => CredentialsError::Moderation(other),
        }
    }
}

/// An administrative act and the tenant whose it is, for the audit log.
pub(crate) type Note<'a> = (&'a Tenant, AdministrativeAct<'a>);

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
        self.write_password(actor.user, row, (others, actor.device), None).await
    }

    /// Gives a user of a tenant a new password, as an administrator or the operator does.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub async fn set_password(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
        (password, others): (&Password, OtherSessions),
        by: Doer<'_>,
    ) -> Result<(), CredentialsError> {
        let (user, _) = self.subject(tenant, user_id, by).await?;
        self.check_password(tenant, password).await?;
        let row = self.0.passwords.hash(password, 0).await?;
        let act = AdministrativeAct { by, name: "account reset-password", user_id: Some(user_id) };
        self.write_password(user, row, (others, None), Some((tenant, act))).await
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
        by: Doer<'_>,
    ) -> Result<(), CredentialsError> {
        let row = bcrypt_row(hash, pepper).ok_or(CredentialsError::Bcrypt)?;
        self.import_row(tenant, user_id, row, by).await
    }

    /// Gives a user of a tenant the password of a row of [`bcrypt_row`].
    pub(crate) async fn import_row(
        &self,
        tenant: &Tenant,
        user_id: &UserId,
        row: PasswordRow,
        by: Doer<'_>,
    ) -> Result<(), CredentialsError> {
        let (user, _) = self.subject(tenant, user_id, by).await?;
        let act = AdministrativeAct { by, name: "account import", user_id: Some(user_id) };
        self.write_password(user, row, (OtherSessions::Keep, None), Some((tenant, act))).await
    }

    async fn write_password(
        &self,
        user: UserNumber,
        password: PasswordRow,
        (others, except): (OtherSessions, Option<DeviceNumber>),
        note: Option<Note<'_>>,
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
            if let Some((tenant, act)) = &note {
                self.0.given.policies.record(&mut removal.batch, tenant, act);
            }
            if attempts.commit(self.store(), removal.batch).await?.is_some() {
                self.0.sessions.forget(&removal.tokens);
                self.remove_late_tokens(removal.devices).await?;
                if others == OtherSessions::End {
                    self.end_late_sessions(user, except).await?;
                }
                return Ok(());
            }
        }
    }

    /// Ends the sessions of those who logged in between reading which there were and writing the new password. From now on the
    /// old one opens none.
    async fn end_late_sessions(
        &self,
        user: UserNumber,
        except: Option<DeviceNumber>,
    ) -> Result<(), ServerFailure> {
        let (snapshot, mut late) = (self.store().snapshot()?, Removal::default());
        self.remove_all_devices(&snapshot, (user, except), &mut late).await?;
        if !late.devices.is_empty() {
            self.finish_removal(late).await?;
        }
        Ok(())
    }
}

/// The row of a password of which another server kept a bcrypt hash; `None` if it is none, or takes too long to compare.
pub(crate) fn bcrypt_row(hash: &str, pepper: &str) -> Option<PasswordRow> {
    let parts: bcrypt::HashParts = hash.parse().ok()?;
    let row = || PasswordRow::Bcrypt { hash: hash.to_owned(), pepper: pepper.to_owned() };
    (4..=BCRYPT_COST_MAX).contains(&parts.get_cost()).then(row)
}
