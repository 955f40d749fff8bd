//! How much tenants and users have, and may have.

use freehold_store::tables::media::{MEDIA_USE, MediaUseRow};
use freehold_store::{Batch, Snapshot, Tenant, UserNumber};

use crate::failure::Failure;
use crate::policies::MediaPolicy;
use crate::service::Media;

/// A file for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for {bytes} bytes: {whose} may have {most}")]
pub struct OverQuota {
    /// How many bytes the file has.
    pub bytes: u64,
    /// Whose quota it is.
    pub whose: &'static str,
    /// The quota, in bytes.
    pub most: u64,
}

impl Media {
    /// How much a tenant has (`None`), or a user of it.
    ///
    /// # Errors
    /// [`Failure::Read`].
    pub async fn used(&self, tenant: &Tenant, user: Option<UserNumber>) -> Result<MediaUseRow, Failure> {
        let snapshot = self.0.store.snapshot()?;
        Ok(snapshot.get(&MEDIA_USE, &(tenant.number(), user)).await?.unwrap_or_default())
    }
}

/// Adds a file to what its tenant and its uploader have.
pub(crate) async fn add(
    snapshot: &Snapshot,
    (tenant, uploader): (&Tenant, UserNumber),
    bytes: u64,
    policy: &MediaPolicy,
    batch: &mut Batch,
) -> Result<Result<(), OverQuota>, Failure> {
    let quotas =
        [(None, "this server", policy.tenant_bytes), (Some(uploader), "this account", policy.user_bytes)];
    for (user, whose, most) in quotas {
        let place = (tenant.number(), user);
        let before = snapshot.get(&MEDIA_USE, &place).await?;
        let held = before.unwrap_or_default();
        let after =
            MediaUseRow { files: held.files.saturating_add(1), bytes: held.bytes.saturating_add(bytes) };
        if let Some(most) = most.filter(|most| after.bytes > *most) {
            return Ok(Err(OverQuota { bytes, whose, most }));
        }
        batch.expect_unchanged(&MEDIA_USE, &place, before.as_ref());
        batch.put(&MEDIA_USE, &place, &after);
    }
    Ok(Ok(()))
}

/// Takes a file from what its tenant and its uploader have.
pub(crate) async fn take(
    snapshot: &Snapshot,
    (tenant, uploader): (&Tenant, UserNumber),
    bytes: u64,
    batch: &mut Batch,
) -> Result<(), Failure> {
    for user in [None, Some(uploader)] {
        let place = (tenant.number(), user);
        let before = snapshot.get(&MEDIA_USE, &place).await?;
        let held = before.unwrap_or_default();
        let after =
            MediaUseRow { files: held.files.saturating_sub(1), bytes: held.bytes.saturating_sub(bytes) };
        batch.expect_unchanged(&MEDIA_USE, &place, before.as_ref());
        batch.put(&MEDIA_USE, &place, &after);
    }
    Ok(())
}
