//! Access tokens are those of accounts.

use freehold_accounts::{Accounts, Standing as AccountStanding, TokenError};
use freehold_store::BoxFuture;

use crate::authenticated::{Authenticate, AuthenticationError, Session, Standing};
use crate::tenant_of_host::TenantOfHost;

impl Authenticate for Accounts {
    fn authenticate<'a>(
        &'a self,
        host: &'a TenantOfHost,
        access_token: &'a str,
    ) -> BoxFuture<'a, Result<Session, AuthenticationError>> {
        Box::pin(async move {
            let session = Accounts::authenticate(self, &host.0, access_token).await?;
            let standing = match session.standing {
                AccountStanding::Good => Standing::Good,
                AccountStanding::Suspended => Standing::Suspended,
                AccountStanding::Locked => Standing::Locked,
            };
            Ok(Session { actor: session.actor, device_id: Some(session.device_id), standing })
        })
    }
}

impl From<TokenError> for AuthenticationError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unknown => AuthenticationError::Unknown,
            TokenError::Expired => AuthenticationError::SoftLogout,
            TokenError::Server(failure) => AuthenticationError::Lookup(Box::new(failure)),
        }
    }
}
