//! Who is hosted, on which terms, and signs, as rooms ask for it.

use freehold_event::RoomVersion;
use freehold_keyring::{KeyPhase, Purpose};
use freehold_rooms::{Identities, Retention, RoomPolicy, SigningError};
use freehold_signing::{KeyId, KeyValidity, Signer, VerifyingKey};
use freehold_store::{BoxFuture, Tenant, TenantNumber};
use freehold_tenancy::{Policy, Tenancy, TenantState};
use ruma_common::ServerName;

/// The tenants, for rooms.
pub(crate) struct IdentitiesOfTenants(pub(crate) Tenancy);

/// For how long a key of a tenant of this process may be relied on after it was looked up.
const KEY_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// What is shown to users of a tenant of which nobody knows what it has settled.
const NOTHING_IS_SHOWN: Retention = Retention { messages_ms: Some(0), follows_rooms: true };

impl Identities for IdentitiesOfTenants {
    fn tenant(&self, server_name: &ServerName) -> Option<Tenant> {
        let found = self.0.by_server_name(server_name)?;
        (found.state == TenantState::Active).then_some(found.tenant)
    }

    fn signer(
        &self,
        tenant: &Tenant,
        purpose: Purpose<'_>,
        now_ts: i64,
    ) -> Result<Box<dyn Signer + Send + Sync>, SigningError> {
        match self.0.keys().signer(tenant.server_name(), purpose, now_ts) {
            Ok(signer) => Ok(Box::new(signer)),
            Err(error) => Err(SigningError(Box::new(error))),
        }
    }

    fn published_key(
        &self,
        tenant: &Tenant,
        key_id: &KeyId,
        now_ts: i64,
    ) -> Option<(VerifyingKey, KeyValidity)> {
        let key = match self.0.keys().key(tenant.server_name(), key_id, now_ts) {
            Ok(key) => key?,
            Err(error) => {
                tracing::error!(tenant = %tenant.server_name(), %error, "keys cannot be read");
                return None;
            }
        };
        let validity = match (key.phase, key.expired_ts) {
            (KeyPhase::Old, Some(expired_ts)) => KeyValidity::Old { expired_ts },
            (_, Some(expired_ts)) => KeyValidity::Current { valid_until_ts: expired_ts },
            (_, None) => KeyValidity::Current { valid_until_ts: now_ts.saturating_add(KEY_LIFETIME_MS) },
        };
        Some((key.key, validity))
    }

    fn policy<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, RoomPolicy> {
        Box::pin(async move {
            match self.0.policy(tenant).await {
                Ok(policy) => room_policy(&policy),
                Err(error) => {
                    tracing::error!(%error, tenant = %tenant.server_name(), "policy cannot be read");
                    // Nothing is allowed or shown that a policy might forbid.
                    RoomPolicy { may_create: false, retention: NOTHING_IS_SHOWN, ..RoomPolicy::default() }
                }
            }
        })
    }

    fn retention(&self, tenant: TenantNumber) -> BoxFuture<'_, Option<Retention>> {
        Box::pin(async move {
            let tenant = self.0.by_number(tenant)?.tenant;
            match self.0.policy(&tenant).await {
                Ok(policy) => Some(retention(&policy)),
                Err(error) => {
                    tracing::error!(%error, tenant = %tenant.server_name(), "policy cannot be read");
                    Some(Retention::FOREVER)
                }
            }
        })
    }

    fn some_forget(&self) -> bool {
        self.0.some_forget()
    }

    fn speak(&self, tenant: &Tenant, server: &ServerName) -> bool {
        self.0.speak(tenant, server)
    }
}

fn room_policy(policy: &Policy) -> RoomPolicy {
    let wants = |feature| !policy.features_off.contains(feature);
    RoomPolicy {
        may_create: wants("room_creation"),
        may_encrypt: wants("encryption"),
        has_directory: wants("directory"),
        rooms_max: policy.quotas.rooms,
        default_version: policy.default_room_version.as_ref().and_then(|id| RoomVersion::find(id.as_str())),
        retention: retention(policy),
    }
}

fn retention(policy: &Policy) -> Retention {
    let freehold_tenancy::Retention { messages_ms, follow_rooms } = policy.retention;
    Retention { messages_ms, follows_rooms: follow_rooms }
}
