//! Tokens with which a tenant lets people register.

use freehold_store::tables::accounts::{REGISTRATION_TOKENS, RegistrationTokenRow};
use freehold_store::{Batch, Order, Tenant};

use crate::accounts::Accounts;
use crate::failure::{ServerFailure, server_failures};
use crate::policies::{AdministrativeAct, Doer};
use crate::random;

/// A registration token to be made.
#[derive(Clone, Debug, Default)]
pub struct NewRegistrationToken {
    /// Its text; something random if not set.
    pub token: Option<String>,
    /// How often it can be used; without end if not set.
    pub uses_allowed: Option<u64>,
    /// After when it is refused, in milliseconds since the Unix epoch.
    pub expires_ts: Option<i64>,
}

/// Why there is no such registration token.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationTokenError {
    /// It is not of the grammar of opaque identifiers
    /// (<https://spec.matrix.org/v1.19/appendices/#opaque-identifiers>), or longer than 64 characters.
    #[error("registration token is not 1 to 64 of the characters A-Z, a-z, 0-9 and ._~-")]
    Grammar,
    /// The tenant has one of that text.
    #[error("there is such a registration token")]
    Exists,
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(RegistrationTokenError);

impl Accounts {
    /// Whether a registration token of a tenant can be used now.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn is_registration_token_valid(
        &self,
        tenant: &Tenant,
        token: &str,
    ) -> Result<bool, ServerFailure> {
        Ok(self.admitting_token(&self.store().snapshot()?, tenant, token).await?.is_some())
    }

    /// Makes a registration token; its text.
    ///
    /// # Errors
    /// [`RegistrationTokenError`].
    pub async fn new_registration_token(
        &self,
        tenant: &Tenant,
        new: NewRegistrationToken,
        by: Doer<'_>,
    ) -> Result<String, RegistrationTokenError> {
        let token = match new.token {
            Some(token) => token,
            None => random::letters::<16>()?,
        };
        if !is_opaque_identifier(&token) {
            return Err(RegistrationTokenError::Grammar);
        }
        let key = (tenant.number(), token.clone());
        let (uses_allowed, expires_ts) = (new.uses_allowed, new.expires_ts);
        let created_ts = self.now_ts();
        let (invited_by, used_by) = (None, None);
        let row = RegistrationTokenRow { uses_allowed, used: 0, expires_ts, created_ts, invited_by, used_by };
        let mut batch = Batch::new();
        batch.expect_absent(&REGISTRATION_TOKENS, &key);
        batch.put(&REGISTRATION_TOKENS, &key, &row);
        self.note_token(tenant, (by, "registration-token add"), &mut batch);
        match self.store().commit(batch).await {
            Ok(_) => Ok(token),
            Err(freehold_store::CommitError::Conflict { .. }) => Err(RegistrationTokenError::Exists),
            Err(error) => Err(ServerFailure::from(error).into()),
        }
    }

    /// The registration tokens of a tenant that are no invitations, in the order of their texts.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn registration_tokens(
        &self,
        tenant: &Tenant,
    ) -> Result<Vec<(String, RegistrationTokenRow)>, ServerFailure> {
        let snapshot = self.store().snapshot()?;
        let prefix = (tenant.number(),);
        let rows = snapshot.scan_prefix(&REGISTRATION_TOKENS, &prefix, Order::Ascending, usize::MAX).await?;
        let tokens = rows.into_iter().filter(|(_, row)| row.invited_by.is_none());
        Ok(tokens.map(|((_, token), row)| (token, row)).collect())
    }

    /// Removes a registration token that is no invitation. Says whether the tenant had it.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn delete_registration_token(
        &self,
        tenant: &Tenant,
        token: &str,
        by: Doer<'_>,
    ) -> Result<bool, ServerFailure> {
        let key = (tenant.number(), token.to_owned());
        let row = self.store().snapshot()?.get(&REGISTRATION_TOKENS, &key).await?;
        if row.is_none_or(|row| row.invited_by.is_some()) {
            return Ok(false);
        }
        let mut batch = Batch::new();
        batch.delete(&REGISTRATION_TOKENS, &key);
        self.note_token(tenant, (by, "registration-token remove"), &mut batch);
        self.store().commit(batch).await?;
        Ok(true)
    }

    /// Adds to `batch`, for the audit log, that something became of a registration token.
    fn note_token(&self, tenant: &Tenant, (by, name): (Doer<'_>, &'static str), batch: &mut Batch) {
        let act = AdministrativeAct { by, name, user_id: None };
        self.0.given.policies.record(batch, tenant, &act);
    }
}

fn is_opaque_identifier(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}
