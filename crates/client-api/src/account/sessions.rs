//! Access tokens are those of accounts.

use std::net::IpAddr;

use freehold_accounts::{Accounts, Standing as AccountStanding, TokenError, Use};
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

    fn note_use(&self, session: &Session, address: Option<IpAddr>, user_agent: Option<&str>) {
        if let Some(device) = session.actor.device {
            Accounts::note_use(self, device, || Use {
                ip: address.map(|address| address.to_string()),
                user_agent: user_agent.map(str::to_owned),
            });
        }
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
