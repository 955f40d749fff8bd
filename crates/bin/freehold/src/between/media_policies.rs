//! What tenants have settled about media, as the content repository asks for it.

use freehold_media::{MediaPolicy, Policies};
use freehold_store::{BoxFuture, Tenant};
use freehold_tenancy::{Policy, Tenancy};
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
        Box::pin(std::future::ready(self.0.reach(asker, server_name)))
    }
}

fn media_policy(policy: &Policy) -> MediaPolicy {
    MediaPolicy {
        uploads: !policy.features_off.contains(UPLOADS),
        file_bytes: policy.media.file_bytes,
        user_bytes: policy.quotas.media_bytes_per_user,
        tenant_bytes: policy.quotas.media_bytes,
        others_file_bytes: policy.media.others_file_bytes,
        others_bytes: policy.media.others_bytes,
        frozen_ts: policy.media.open_before_ts.unwrap_or(i64::MIN),
    }
}
