//! Accounts made by tools that know the tenant's shared secret
//! (<https://element-hq.github.io/synapse/latest/admin_api/register_api.html>).

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use freehold_store::{Tenant, TenantNumber};
use hmac::{Hmac, KeyInit, Mac};
use lru::LruCache;
use sha1::Sha1;

use crate::accounts::Accounts;
use crate::device::DeviceRequest;
use crate::failure::ServerFailure;
use crate::open_session::Refresh;
use crate::password::Password;
use crate::random;
use crate::register::{Admission, NewAccount, RegisterError, Registered};

/// How long a nonce is good, in milliseconds, as in Synapse.
const NONCE_LIFETIME_MS: i64 = 60 * 1000;
/// Nonces under way; the oldest is forgotten first.
const NONCES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// An account that a tool asks for.
#[derive(Clone, Debug)]
pub struct ToolRegistration {
    /// The nonce.
    pub nonce: String,
    /// The user name.
    pub username: String,
    /// What to show as the name of the user.
    pub display_name: Option<String>,
    /// The password, as it was sent.
    pub password: String,
    /// Whether the user administers the tenant.
    pub admin: bool,
    /// A kind of user that other servers know; it is part of what the code is over.
    pub user_type: Option<String>,
    /// The code, as hexadecimal digits: HMAC-SHA1 under the shared secret.
    pub mac: String,
}

/// Why a tool's account is not made.
#[derive(Debug, thiserror::Error)]
pub enum ToolRegistrationError {
    /// The tenant has no shared secret.
    #[error("shared secret registration is not enabled")]
    Disabled,
    /// The nonce is unknown, was used, or is too old.
    #[error("unrecognised nonce")]
    Nonce,
    /// The code is wrong: who asks does not know the secret.
    #[error("HMAC incorrect")]
    Mac,
    /// The account cannot be made.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl From<ServerFailure> for ToolRegistrationError {
    fn from(failure: ServerFailure) -> Self {
        ToolRegistrationError::Register(RegisterError::Server(failure))
    }
}

/// Nonces that were given out: to which tenant's tools, and when.
#[derive(Debug)]
pub(crate) struct Nonces(Mutex<LruCache<String, (TenantNumber, i64)>>);

impl Nonces {
    pub(crate) fn new() -> Self {
        Nonces(Mutex::new(LruCache::new(NONCES_MAX)))
    }

    fn take(&self, nonce: &str) -> Option<(TenantNumber, i64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop(nonce)
    }

    fn put(&self, nonce: String, whose: (TenantNumber, i64)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(nonce, whose);
    }
}

impl Accounts {
    /// A nonce for one [`Accounts::register_for_tool`].
    ///
    /// # Errors
    /// [`ToolRegistrationError::Disabled`].
    pub async fn new_nonce(&self, tenant: &Tenant) -> Result<String, ToolRegistrationError> {
        if self.policy(tenant).await?.shared_secret.is_none() {
            return Err(ToolRegistrationError::Disabled);
        }
        let nonce = BASE64_URL_SAFE_NO_PAD.encode(random::bytes::<24>()?);
        self.0.nonces.put(nonce.clone(), (tenant.number(), self.now_ts()));
        Ok(nonce)
    }

    /// Makes an account for a tool that knows the shared secret of the tenant, and logs it in.
    ///
    /// # Errors
    /// [`ToolRegistrationError`].
    pub async fn register_for_tool(
        &self,
        tenant: &Tenant,
        wanted: ToolRegistration,
    ) -> Result<Registered, ToolRegistrationError> {
        let policy = self.policy(tenant).await?;
        let secret = policy.shared_secret.as_ref().ok_or(ToolRegistrationError::Disabled)?;
        let (whose, since_ts) = self.0.nonces.take(&wanted.nonce).ok_or(ToolRegistrationError::Nonce)?;
        if whose != tenant.number() || self.now_ts() - since_ts > NONCE_LIFETIME_MS {
            return Err(ToolRegistrationError::Nonce);
        }
        if !is_code_right(secret, &wanted) {
            return Err(ToolRegistrationError::Mac);
        }
        let account = NewAccount {
            localpart: Some(wanted.username.to_lowercase()),
            password: Some(Password::new(&wanted.password)),
            display_name: wanted.display_name,
            admin: wanted.admin,
            session: Some((DeviceRequest::default(), Refresh::NotAsked)),
        };
        Ok(self.register(tenant, account, Admission::Tool).await?)
    }
}

/// Whether the code is over nonce, user name, password and kind, with zero bytes between them. Takes as long for a
/// right one as for a wrong one.
fn is_code_right(secret: &str, wanted: &ToolRegistration) -> bool {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else { return false };
    let admin = if wanted.admin { "admin" } else { "notadmin" };
    let parts = [wanted.nonce.as_str(), &wanted.username, &wanted.password, admin];
    for (index, part) in parts.into_iter().chain(wanted.user_type.as_deref()).enumerate() {
        if index > 0 {
            mac.update(&[0]);
        }
        mac.update(part.as_bytes());
    }
    from_hex(&wanted.mac).is_some_and(|code| mac.verify_slice(&code).is_ok())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of Synapse's own `generate_mac` in its documentation, worked out with Python's `hmac`.
    #[test]
    fn the_code_is_the_one_that_existing_tools_send() {
        let wanted = |mac: &str, admin: bool| ToolRegistration {
            nonce: "thisisanonce".to_owned(),
            username: "pepper_roni".to_owned(),
            display_name: None,
            password: "pizza".to_owned(),
            admin,
            user_type: None,
            mac: mac.to_owned(),
        };
        assert!(is_code_right("shared_secret", &wanted(CODE, true)));
        assert!(!is_code_right("shared_secret", &wanted(CODE, false)));
        assert!(!is_code_right("another_secret", &wanted(CODE, true)));
        assert!(!is_code_right("shared_secret", &wanted("", true)));
        assert!(!is_code_right("shared_secret", &wanted("xyz", true)));
    }

    const CODE: &str = "48715842ad67d5dc9a9ee938a3bda4fcfae8d7c7";
}
