//! Logins with a password, and with a token for one login.

use freehold_store::tables::accounts::{
    ACCOUNTS, AccountRow, DEVICES, EXPIRIES, LOGIN_TOKENS, LoginTokenRow, PasswordRow, TokenHash, TokenKind,
};
use freehold_store::{Actor, Batch, ReadError, Snapshot, Tenant, UserNumber};
use ruma_common::OwnedUserId;

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::device::DeviceRequest;
use crate::failed_logins::Account;
use crate::failure::{ServerFailure, server_failures};
use crate::open_session::{NewSession, OpenSessionError, Refresh, Who};
use crate::password::{Password, PasswordError};
use crate::token::{self, Token};
use crate::username::meant_user_ids;

/// How long a token for one login is good, in milliseconds: as long as it takes to carry it to another device.
const LOGIN_TOKEN_LIFETIME_MS: u64 = 2 * 60 * 1000;

/// How somebody proves who they are.
#[derive(Clone, Debug)]
pub enum Proof {
    /// With a password.
    Password {
        /// A user id, or a localpart.
        user: String,
        /// The password.
        password: Password,
    },
    /// With a token that a session of the same user asked for.
    Token(String),
}

/// Why somebody cannot log in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// There is no such user, the password is another, or the token is no good.
    #[error("wrong user name, password or token")]
    Wrong,
    /// The account is locked.
    #[error("this account has been locked")]
    Locked,
    /// Too many logins failed.
    #[error("too many failed logins")]
    TooManyFailures {
        /// In how many milliseconds the next is allowed.
        wait_ms: u64,
    },
    /// The password cannot be compared.
    #[error(transparent)]
    Password(PasswordError),
    /// The device cannot be had.
    #[error(transparent)]
    Device(OpenSessionError),
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(LoginError);

impl From<PasswordError> for LoginError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Server(failure) => LoginError::Server(failure),
            // Nobody has a password out of bounds.
            PasswordError::TooLong { .. } | PasswordError::TooShort { .. } => LoginError::Wrong,
            PasswordError::Busy => LoginError::Password(error),
        }
    }
}

impl From<OpenSessionError> for LoginError {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::Server(failure) => LoginError::Server(failure),
            other => LoginError::Device(other),
        }
    }
}

/// An account, and what proves that somebody owns it.
struct Proved {
    user: UserNumber,
    user_id: OwnedUserId,
    account: AccountRow,
}

/// On what ground somebody logs in; it has to hold still when the session becomes durable.
enum Ground {
    /// This was the hash of the password.
    Password(Option<PasswordRow>),
    /// There was this login token.
    Token(TokenHash),
}

impl Accounts {
    /// Logs a user of a tenant in.
    ///
    /// # Errors
    /// [`LoginError`]. Neither the error nor the time it takes tells whether there is such a user.
    pub async fn log_in(
        &self,
        tenant: &Tenant,
        proof: Proof,
        (device, refresh): (DeviceRequest, Refresh),
    ) -> Result<NewSession, LoginError> {
        match proof {
            Proof::Password { user, password } => {
                let proved = self.prove_password(tenant, &user, &password).await?;
                let ground = Ground::Password(proved.account.password);
                self.open_proved(proved.user_id, (device, refresh), ground).await
            }
            Proof::Token(text) => {
                let hash = token::hash(&text);
                let user_id = self.prove_login_token(tenant, &hash).await?;
                self.open_proved(user_id, (device, refresh), Ground::Token(hash)).await
            }
        }
    }

    /// A token with which a new session of the actor can be opened, once, soon, and while the session goes on that asks for it;
    /// and in how many milliseconds it expires.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn new_login_token(&self, actor: &Actor) -> Result<(String, u64), ServerFailure> {
        let token = Token::new(TokenKind::Login)?;
        let expires_ts = self.now_ts().saturating_add_unsigned(LOGIN_TOKEN_LIFETIME_MS);
        let mut batch = Batch::new();
        let row = LoginTokenRow { user: actor.user, device: actor.device, expires_ts };
        batch.put(&LOGIN_TOKENS, &token.hash, &row);
        batch.put(&EXPIRIES, &(expires_ts, token.hash), &TokenKind::Login);
        self.store().commit(batch).await?;
        Ok((token.text, LOGIN_TOKEN_LIFETIME_MS))
    }

    /// Whose user name and password these are. Slows down after failures.
    pub(crate) async fn owner_of_password(
        &self,
        tenant: &Tenant,
        typed: &str,
        password: &Password,
    ) -> Result<UserNumber, LoginError> {
        Ok(self.prove_password(tenant, typed, password).await?.user)
    }

    async fn prove_password(
        &self,
        tenant: &Tenant,
        typed: &str,
        password: &Password,
    ) -> Result<Proved, LoginError> {
        let now_ts = self.now_ts();
        let candidates = meant_user_ids(tenant, typed);
        // One count for all ways to write the same name.
        let counted = candidates.as_ref().map_or(typed, |[_, lower]| lower.as_str());
        let counted = Account { tenant: tenant.number(), user_id: counted };
        if let Some(wait_ms) = self.0.failed_logins.wait_ms(counted, now_ts).filter(|_| self.slows_down()) {
            return Err(LoginError::TooManyFailures { wait_ms });
        }
        let snapshot = self.store().snapshot()?;
        let found = self.find_candidate(&snapshot, tenant, candidates.iter().flatten()).await?;
        let row = found.as_ref().and_then(|found| found.account.password.clone());
        match (self.0.passwords.is_right(password, row).await?, found) {
            (true, Some(found)) if found.account.locked => Err(LoginError::Locked),
            (true, Some(found)) => Ok(self.with_renewed_hash(found, password).await),
            _ => {
                self.0.failed_logins.failed(counted, now_ts);
                Err(LoginError::Wrong)
            }
        }
    }

    fn slows_down(&self) -> bool {
        self.0.given.settings.failed_logins
    }

    /// The first user who has an account of the tenant.
    async fn find_candidate(
        &self,
        snapshot: &Snapshot,
        tenant: &Tenant,
        candidates: impl Iterator<Item = &OwnedUserId>,
    ) -> Result<Option<Proved>, ReadError> {
        for user_id in candidates {
            if let Some((user, account)) = self.account_of(snapshot, user_id).await?
                && account.tenant == tenant.number()
                && account.deactivated.is_none()
            {
                return Ok(Some(Proved { user, user_id: user_id.clone(), account }));
            }
        }
        Ok(None)
    }

    /// Hashes the password again if its hash is weaker than those made now. The login does not depend on it.
    async fn with_renewed_hash(&self, mut found: Proved, password: &Password) -> Proved {
        let outdated = found.account.password.as_ref().is_some_and(|row| self.0.passwords.is_outdated(row));
        if outdated {
            match self.renew_hash(&found, password).await {
                Ok(account) => found.account = account,
                Err(error) => tracing::warn!(%error, "hash of a password is not renewed"),
            }
        }
        found
    }

    async fn renew_hash(&self, found: &Proved, password: &Password) -> Result<AccountRow, PasswordError> {
        let renewed = self.0.passwords.hash(password, 0).await?;
        let account = AccountRow { password: Some(renewed), ..found.account.clone() };
        let mut batch = Batch::new();
        batch.expect_unchanged(&ACCOUNTS, &found.user, Some(&found.account));
        batch.put(&ACCOUNTS, &found.user, &account);
        self.store().commit(batch).await.map_err(ServerFailure::from)?;
        Ok(account)
    }

    async fn prove_login_token(&self, tenant: &Tenant, hash: &TokenHash) -> Result<OwnedUserId, LoginError> {
        let snapshot = self.store().snapshot()?;
        let row = login_token(&snapshot, hash).await?;
        let user_id = snapshot.id_of(row.user).await?;
        if row.expires_ts <= self.now_ts() || !tenant.owns(&user_id) {
            return Err(LoginError::Wrong);
        }
        let account = snapshot.get(&ACCOUNTS, &row.user).await?.ok_or(LoginError::Wrong)?;
        if account.tenant != tenant.number() || account.deactivated.is_some() {
            return Err(LoginError::Wrong);
        }
        if account.locked { Err(LoginError::Locked) } else { Ok(user_id) }
    }

    /// Opens a session of somebody who proved who they are; uses up the token with which they did.
    async fn open_proved(
        &self,
        user_id: OwnedUserId,
        (device, refresh): (DeviceRequest, Refresh),
        ground: Ground,
    ) -> Result<NewSession, LoginError> {
        let mut attempts = Attempts::default();
        loop {
            let snapshot = self.store().snapshot()?;
            let (user, account) = self.account_of(&snapshot, &user_id).await?.ok_or(LoginError::Wrong)?;
            if account.deactivated.is_some() {
                return Err(LoginError::Wrong);
            }
            let mut batch = Batch::new();
            match &ground {
                Ground::Password(proved) if *proved != account.password => return Err(LoginError::Wrong),
                Ground::Password(_) => {}
                Ground::Token(hash) => {
                    let row = login_token(&snapshot, hash).await?;
                    batch.expect_present(&LOGIN_TOKENS, hash);
                    row.device.iter().for_each(|device| batch.expect_present(&DEVICES, device));
                    batch.delete(&LOGIN_TOKENS, hash);
                    batch.delete(&EXPIRIES, &(row.expires_ts, *hash));
                }
            }
            let who = Who { user, user_id: &user_id, account: Some(&account) };
            let opening = self.open_session(&snapshot, who, (&device, refresh), &mut batch).await?;
            if attempts.commit(self.store(), batch).await?.is_some() {
                self.0.sessions.forget(&opening.ends);
                return Ok(opening.session);
            }
        }
    }
}

/// The row of a login token whose session goes on: who ends a session, as with a new password, ends what it asked for.
async fn login_token(snapshot: &Snapshot, hash: &TokenHash) -> Result<LoginTokenRow, LoginError> {
    let row = snapshot.get(&LOGIN_TOKENS, hash).await?.ok_or(LoginError::Wrong)?;
    match row.device {
        Some(device) if snapshot.get(&DEVICES, &device).await?.is_none() => Err(LoginError::Wrong),
        _ => Ok(row),
    }
}
