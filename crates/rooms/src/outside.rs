//! What rooms ask of others: who is hosted here, who signs, what people call themselves.

use std::error::Error;

use freehold_keyring::Purpose;
use freehold_signing::{KeyId, KeyValidity, Signer, VerifyingKey};
use freehold_store::{BoxFuture, Tenant};
use ruma_common::{ServerName, UserId};
use serde_json::{Map, Value};

/// Who is hosted here, and signs.
pub trait Identities: Send + Sync {
    /// The tenant with this server name, if it is hosted here and in service.
    fn tenant(&self, server_name: &ServerName) -> Option<Tenant>;

    /// The power to sign for a tenant, for one purpose, with the key that signs at `now_ts`
    /// (milliseconds since the Unix epoch).
    ///
    /// # Errors
    /// There is no key, or the acting user is none of the tenant's.
    fn signer(
        &self,
        tenant: &Tenant,
        purpose: Purpose<'_>,
        now_ts: i64,
    ) -> Result<Box<dyn Signer + Send + Sync>, SigningError>;

    /// A public key that a tenant of this process publishes at `now_ts` (milliseconds since the Unix epoch).
    fn published_key(
        &self,
        tenant: &Tenant,
        key_id: &KeyId,
        now_ts: i64,
    ) -> Option<(VerifyingKey, KeyValidity)>;
}

/// Why there is no signature: what the keyring said.
#[derive(Debug, thiserror::Error)]
#[error("nothing can be signed for the tenant")]
pub struct SigningError(#[source] pub Box<dyn Error + Send + Sync>);

/// What the users of tenants call themselves.
pub trait Profiles: Send + Sync {
    /// What goes into a membership event of a user of `tenant`: `displayname`, `avatar_url`, as far as they are set.
    fn member_profile<'a>(
        &'a self,
        tenant: &'a Tenant,
        user_id: &'a UserId,
    ) -> BoxFuture<'a, Map<String, Value>>;
}

/// Nobody calls themselves anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProfiles;

impl Profiles for NoProfiles {
    fn member_profile<'a>(&'a self, _: &'a Tenant, _: &'a UserId) -> BoxFuture<'a, Map<String, Value>> {
        Box::pin(std::future::ready(Map::new()))
    }
}
