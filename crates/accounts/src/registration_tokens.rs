//! Tokens with which a tenant lets people register.

use freehold_store::tables::accounts::{REGISTRATION_TOKENS, RegistrationTokenRow};
use freehold_store::{Batch, Order, Tenant};

use crate::accounts::Accounts;
use crate::failure::{ServerFailure, server_failures};
use crate::random;
use crate::register::is_usable;

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
        let key = (tenant.number(), token.to_owned());
        let row = self.store().snapshot()?.get(&REGISTRATION_TOKENS, &key).await?;
        Ok(row.is_some_and(|row| is_usable(&row, self.now_ts())))
    }

    /// Makes a registration token; its text.
    ///
    /// # Errors
    /// [`RegistrationTokenError`].
    pub async fn new_registration_token(
        &self,
        tenant: &Tenant,
        new: NewRegistrationToken,
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
        let row = RegistrationTokenRow { uses_allowed, used: 0, expires_ts, created_ts: self.now_ts() };
        let mut batch = Batch::new();
        batch.expect_absent(&REGISTRATION_TOKENS, &key);
        batch.put(&REGISTRATION_TOKENS, &key, &row);
        match self.store().commit(batch).await {
            Ok(_) => Ok(token),
            Err(freehold_store::CommitError::Conflict { .. }) => Err(RegistrationTokenError::Exists),
            Err(error) => Err(ServerFailure::from(error).into()),
        }
    }

    /// The registration tokens of a tenant, in the order of their texts.
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
        Ok(rows.into_iter().map(|((_, token), row)| (token, row)).collect())
    }

    /// Removes a registration token, if the tenant has it.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn delete_registration_token(&self, tenant: &Tenant, token: &str) -> Result<(), ServerFailure> {
        let mut batch = Batch::new();
        batch.delete(&REGISTRATION_TOKENS, &(tenant.number(), token.to_owned()));
        self.store().commit(batch).await?;
        Ok(())
    }
}

fn is_opaque_identifier(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}
