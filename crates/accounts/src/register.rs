//! New accounts.

use freehold_store::tables::accounts::{
    ACCEPTED_TERMS, ACCOUNTS, AcceptedTermsRow, AccountRow, PROFILES, PasswordRow, ProfileRow,
    REGISTRATION_TOKENS, RegistrationTokenRow, TENANT_ACCOUNTS,
};
use freehold_store::{Batch, Snapshot, Tenant, UserNumber};
use ruma_common::{OwnedUserId, UserId};

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::device::DeviceRequest;
use crate::failure::{ServerFailure, server_failures};
use crate::open_session::{NewTokens, OpenSessionError, Refresh, Who};
use crate::password::{Password, PasswordError};
use crate::policies::{AdministrativeAct, Doer};
use crate::random;
use crate::username::{UsernameError, new_user_id};

/// An account to be made.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    /// What follows the `@`; something random if not set.
    pub localpart: Option<String>,
    /// The password; without one nobody can log in with one.
    pub password: Option<Password>,
    /// What to show as the name of the user; the localpart if not set.
    pub display_name: Option<String>,
    /// Whether the user administers the tenant.
    pub admin: bool,
    /// With which device to log in at once, if at all.
    pub session: Option<(DeviceRequest, Refresh)>,
}

/// On what grounds an account is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The user went through what the tenant asks of people.
    Registered {
        /// The registration token that is used up, if the tenant wants one.
        registration_token: Option<String>,
        /// The documents that the user accepted: name and version.
        terms: Vec<(String, String)>,
    },
    /// A tool that knows the shared secret of the tenant wants it.
    Tool,
    /// An administrator of the tenant wants it; without one, the operator.
    Administrator(Option<OwnedUserId>),
}

/// An account that was made.
pub struct Registered {
    /// The user.
    pub user_id: OwnedUserId,
    /// The number of the user.
    pub user: UserNumber,
    /// The session, if one was asked for.
    pub session: Option<(ruma_common::OwnedDeviceId, NewTokens)>,
}

/// Why an account cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The user name is none.
    #[error(transparent)]
    Username(#[from] UsernameError),
    /// Somebody has that user name, or had it.
    #[error("user name is taken")]
    InUse,
    /// The password cannot be taken.
    #[error(transparent)]
    Password(PasswordError),
    /// The registration token is unknown, expired, or was used as often as it may be.
    #[error("registration token is not valid")]
    RegistrationToken,
    /// The tenant has as many accounts as it may have.
    #[error("this server takes no more than {max} accounts")]
    Full {
        /// The bound.
        max: u64,
    },
    /// The device cannot be had.
    #[error(transparent)]
    Device(OpenSessionError),
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(RegisterError);

impl From<PasswordError> for RegisterError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Server(failure) => RegisterError::Server(failure),
            other => RegisterError::Password(other),
        }
    }
}

impl From<OpenSessionError> for RegisterError {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::Server(failure) => RegisterError::Server(failure),
            other => RegisterError::Device(other),
        }
    }
}

impl Accounts {
    /// Whether there can be a new user of that name now.
    ///
    /// # Errors
    /// [`RegisterError::Username`], [`RegisterError::InUse`].
    pub async fn check_username(
        &self,
        tenant: &Tenant,
        localpart: &str,
    ) -> Result<OwnedUserId, RegisterError> {
        let user_id = new_user_id(tenant, localpart)?;
        match self.account_of(&self.store().snapshot()?, &user_id).await? {
            Some(_) => Err(RegisterError::InUse),
            None => Ok(user_id),
        }
    }

    /// Whether a password is long enough for the tenant, and not too long.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn check_password(&self, tenant: &Tenant, password: &Password) -> Result<(), PasswordError> {
        let (found, min) = (password.length(), self.policy(tenant).await?.password_length_min);
        if found < min {
            return Err(PasswordError::TooShort { found, min });
        }
        let (found, max) = (password.as_str().len(), self.limits().password_bytes);
        if found > max { Err(PasswordError::TooLong { found, max }) } else { Ok(()) }
    }

    /// Makes an account. Whether the tenant lets anybody register was asked before, of
    /// [`Accounts::registration_flows`](crate::Accounts::registration_flows).
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn register(
        &self,
        tenant: &Tenant,
        account: NewAccount,
        admission: Admission,
    ) -> Result<Registered, RegisterError> {
        let localpart = match &account.localpart {
            Some(localpart) => localpart.clone(),
            None => random::letters::<12>()?.to_lowercase(),
        };
        // Before the password is hashed, which costs much more.
        self.check_username(tenant, &localpart).await?;
        let password = match &account.password {
            Some(password) => Some(self.hash_new(tenant, password, &admission).await?),
            None => None,
        };
        self.take_place(tenant, (&account, &localpart, password), &admission).await
    }

    /// Makes an account of which everything is known, if the tenant has room for it.
    pub(crate) async fn take_place(
        &self,
        tenant: &Tenant,
        account: (&NewAccount, &str, Option<PasswordRow>),
        admission: &Admission,
    ) -> Result<Registered, RegisterError> {
        let max = self.policy(tenant).await?.users_max;
        let place = self.0.places.take(&self.store().snapshot()?, tenant.number(), max).await?;
        let place = place.ok_or(RegisterError::Full { max: max.unwrap_or_default() })?;
        let made = self.write_account(tenant, account, admission).await?;
        place.keep();
        Ok(made)
    }

    async fn hash_new(
        &self,
        tenant: &Tenant,
        password: &Password,
        admission: &Admission,
    ) -> Result<PasswordRow, PasswordError> {
        let min = match admission {
            Admission::Registered { .. } | Admission::Administrator(_) => {
                self.policy(tenant).await?.password_length_min
            }
            Admission::Tool => 0,
        };
        self.0.passwords.hash(password, min).await
    }

    async fn write_account(
        &self,
        tenant: &Tenant,
        (account, localpart, password): (&NewAccount, &str, Option<PasswordRow>),
        admission: &Admission,
    ) -> Result<Registered, RegisterError> {
        let mut attempts = Attempts::default();
        loop {
            let user_id = self.check_username(tenant, localpart).await?;
            let snapshot = self.store().snapshot()?;
            let mut batch = Batch::new();
            let user = self.interner().number_of(&snapshot, &user_id, &mut batch).await?;
            self.admit(&snapshot, (tenant, user, &user_id), admission, &mut batch).await?;
            let row = AccountRow {
                tenant: tenant.number(),
                created_ts: self.now_ts(),
                password: password.clone(),
                admin: account.admin,
                locked: false,
                suspended: false,
                deactivated: None,
            };
            batch.expect_absent(&ACCOUNTS, &user);
            batch.put(&ACCOUNTS, &user, &row);
            batch.put(&TENANT_ACCOUNTS, &(tenant.number(), user), &());
            batch.put(&PROFILES, &user, &first_profile(account, localpart));
            let session = match &account.session {
                Some((device, refresh)) => {
                    let who = Who { user, user_id: &user_id, account: None };
                    Some(self.open_session(&snapshot, who, (device, *refresh), &mut batch).await?)
                }
                None => None,
            };
            if attempts.commit(self.store(), batch).await?.is_some() {
                let session = session.map(|opening| (opening.session.device_id, opening.session.tokens));
                return Ok(Registered { user_id, user, session });
            }
        }
    }

    /// Adds to `batch` what the grounds of an account leave behind.
    async fn admit(
        &self,
        snapshot: &Snapshot,
        (tenant, user, user_id): (&Tenant, UserNumber, &UserId),
        admission: &Admission,
        batch: &mut Batch,
    ) -> Result<(), RegisterError> {
        let (registration_token, terms) = match admission {
            Admission::Registered { registration_token, terms } => (registration_token, terms),
            Admission::Tool => {
                self.note(tenant, (Doer::Tool, "account add"), user_id, batch);
                return Ok(());
            }
            Admission::Administrator(by) => {
                let by = by.as_deref().map_or(Doer::Operator, Doer::User);
                self.note(tenant, (by, "account add"), user_id, batch);
                return Ok(());
            }
        };
        if let Some(token) = registration_token {
            let row = self.admitting_token(snapshot, tenant, token).await?;
            let row = row.ok_or(RegisterError::RegistrationToken)?;
            let used_by = row.invited_by.map(|_| user);
            let after = RegistrationTokenRow { used: row.used + 1, used_by, ..row.clone() };
            let key = (tenant.number(), token.clone());
            batch.expect_unchanged(&REGISTRATION_TOKENS, &key, Some(&row));
            batch.put(&REGISTRATION_TOKENS, &key, &after);
            if let Some(inviter) = row.invited_by {
                let inviter = snapshot.id_of(inviter).await?;
                self.note(tenant, (Doer::User(&inviter), "account invited"), user_id, batch);
            }
        }
        for (document, version) in terms {
            let row = AcceptedTermsRow { version: version.clone(), ts: self.now_ts() };
            batch.put(&ACCEPTED_TERMS, &(user, document.clone()), &row);
        }
        Ok(())
    }

    /// Adds to `batch`, for the audit log, how an account came into being.
    fn note(
        &self,
        tenant: &Tenant,
        (by, name): (Doer<'_>, &'static str),
        user_id: &UserId,
        batch: &mut Batch,
    ) {
        self.0.given.policies.record(batch, tenant, &AdministrativeAct { by, name, user_id: Some(user_id) });
    }
}

/// Whether a registration token was not used up, and did not expire.
pub(crate) fn is_usable(row: &RegistrationTokenRow, now_ts: i64) -> bool {
    row.uses_allowed.is_none_or(|allowed| row.used < allowed)
        && row.expires_ts.is_none_or(|expires_ts| now_ts < expires_ts)
}

/// The profile of a new user: a name to show, so that rooms do not show a bare user id.
fn first_profile(account: &NewAccount, localpart: &str) -> ProfileRow {
    let name = account.display_name.as_deref().unwrap_or(localpart);
    ProfileRow { fields: vec![("displayname".to_owned(), serde_json::Value::from(name).to_string())] }
}
