//! Tokens that prove who somebody is to a third party (<https://spec.matrix.org/v1.19/client-server-api/#openid>).

use freehold_store::tables::accounts::{ACCOUNTS, EXPIRIES, OPENID_TOKENS, ShortTokenRow, TokenKind};
use freehold_store::{Actor, Batch, Tenant};
use ruma_common::OwnedUserId;

use crate::accounts::Accounts;
use crate::failure::ServerFailure;
use crate::token::{self, Token};

/// How long such a token is good, in milliseconds.
const LIFETIME_MS: u64 = 60 * 60 * 1000;

impl Accounts {
    /// A token with which a third party can ask who the actor is; and in how many milliseconds it expires. It opens
    /// nothing else.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn new_openid_token(&self, actor: &Actor) -> Result<(String, u64), ServerFailure> {
        let token = Token::new(TokenKind::OpenId)?;
        let expires_ts = self.now_ts().saturating_add_unsigned(LIFETIME_MS);
        let mut batch = Batch::new();
        batch.put(&OPENID_TOKENS, &token.hash, &ShortTokenRow { user: actor.user, expires_ts });
        batch.put(&EXPIRIES, &(expires_ts, token.hash), &TokenKind::OpenId);
        self.store().commit(batch).await?;
        Ok((token.text, LIFETIME_MS))
    }

    /// Which user of a tenant made an OpenID token, if it is still good.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn openid_user(
        &self,
        tenant: &Tenant,
        token: &str,
    ) -> Result<Option<OwnedUserId>, ServerFailure> {
        let snapshot = self.store().snapshot()?;
        let row = snapshot.get(&OPENID_TOKENS, &token::hash(token)).await?;
        let Some(row) = row.filter(|row| self.now_ts() < row.expires_ts) else { return Ok(None) };
        let account = snapshot.get(&ACCOUNTS, &row.user).await?;
        let usable = account.is_some_and(|row| row.tenant == tenant.number() && row.deactivated.is_none());
        Ok(if usable { Some(snapshot.id_of(row.user).await?) } else { None })
    }
}
