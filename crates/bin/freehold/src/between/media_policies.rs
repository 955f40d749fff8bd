//! What tenants have settled about media, as the content repository asks for it.

use freehold_media::{MediaPolicy, Policies};
use freehold_store::{BoxFuture, Tenant};
use freehold_tenancy::{Policy, Tenancy, TenantState};
use ruma_common::ServerName;

/// The policies of tenants, for media.
pub(crate) struct MediaPolicies(pub(crate) Tenancy);

/// The feature that takes uploads, by the name under which tenants switch it off.
const UPLOADS: &str = "media";

impl Policies for MediaPolicies {
    fn policy<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, MediaPolicy> {
        Box::pin(async move {
            match self.0.policy(tenant).await {
                Ok(policy) => media_policy(&policy),
                Err(error) => {
                    tracing::error!(%error, tenant = %tenant.server_name(), "policy cannot be read");
                    MediaPolicy { uploads: false, ..MediaPolicy::default() }
                }
            }
        })
    }

    fn reach<'a>(&'a self, asker: &'a Tenant, server_name: &'a ServerName) -> BoxFuture<'a, Option<Tenant>> {
        let found = self.0.by_server_name(server_name).filter(|found| found.state == TenantState::Active);
        let speak = found.filter(|found| {
            self.0.speaks_with(asker, server_name) && self.0.speaks_with(&found.tenant, asker.server_name())
        });
        Box::pin(std::future::ready(speak.map(|found| found.tenant)))
    }
}

fn media_policy(policy: &Policy) -> MediaPolicy {
    MediaPolicy {
        uploads: !policy.features_off.contains(UPLOADS),
        tenant_bytes: policy.quotas.media_bytes,
        ..MediaPolicy::default()
    }
}
