//! New tokens for refresh tokens (<https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens>).

use freehold_store::tables::accounts::{
    ACCOUNTS, AccountRow, DEVICES, REFRESH_TOKENS, RefreshTokenRow, TokenPairRow,
};
use freehold_store::{Batch, ReadError, Snapshot, Tenant};

use crate::accounts::Accounts;
use crate::attempts::Attempts;
use crate::failure::{ServerFailure, server_failures};
use crate::open_session::{NewTokens, Refresh};
use crate::session::remove_pair;
use crate::token;

/// Why a refresh token is refused.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// There is no such token, at least not of this tenant, or it was replaced.
    #[error("unknown refresh token")]
    Unknown,
    /// The account is locked.
    #[error("this account has been locked")]
    Locked,
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(RefreshError);

impl Accounts {
    /// New tokens for a refresh token.
    ///
    /// The refresh token and its access token remain valid until one of the new ones is used, so that a client that
    /// did not receive the answer asks again; then it gets others, and those that it did not receive end.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn refresh(&self, tenant: &Tenant, refresh_token: &str) -> Result<NewTokens, RefreshError> {
        let hash = token::hash(refresh_token);
        let mut attempts = Attempts::default();
        loop {
            let snapshot = self.store().snapshot()?;
            let row = snapshot.get(&REFRESH_TOKENS, &hash).await?.ok_or(RefreshError::Unknown)?;
            let account = owner(&snapshot, tenant, &row).await?.ok_or(RefreshError::Unknown)?;
            if account.locked {
                return Err(RefreshError::Locked);
            }
            let mut batch = Batch::new();
            batch.expect_present(&DEVICES, &row.device);
            batch.expect_unchanged(&REFRESH_TOKENS, &hash, Some(&row));
            let over: Vec<&TokenPairRow> = [&row.replaces, &row.replaced_by].into_iter().flatten().collect();
            over.iter().for_each(|pair| remove_pair(row.device, pair, &mut batch));
            let this = TokenPairRow { access: row.access, refresh: hash };
            let (tokens, pair) = self.new_tokens(row.device, Refresh::Asked, Some(this), &mut batch)?;
            let exchanged = RefreshTokenRow { replaces: None, replaced_by: pair, ..row.clone() };
            batch.put(&REFRESH_TOKENS, &hash, &exchanged);
            if attempts.commit(self.store(), batch).await?.is_some() {
                let ended: Vec<_> = over.iter().map(|pair| pair.access).collect();
                self.0.sessions.forget(&ended);
                return Ok(tokens);
            }
        }
    }
}

/// The account of a refresh token, if it is one of the tenant and was not given up.
async fn owner(
    snapshot: &Snapshot,
    tenant: &Tenant,
    row: &RefreshTokenRow,
) -> Result<Option<AccountRow>, ReadError> {
    let Some(device) = snapshot.get(&DEVICES, &row.device).await? else { return Ok(None) };
    let account = snapshot.get(&ACCOUNTS, &device.user).await?;
    Ok(account.filter(|account| account.tenant == tenant.number() && account.deactivated.is_none()))
}
