//! Deleting files.

use freehold_store::tables::media::{MEDIA, MediaContent, PENDING_MEDIA};
use freehold_store::{Batch, Tenant};
use ruma_common::ServerName;

use crate::blobs::thumbnails_of;
use crate::failure::Failure;
use crate::kept::drop_reference;
use crate::media_id::MediaId;
use crate::quarantine::Note;
use crate::quota;
use crate::service::{ATTEMPTS, Media};

impl Media {
    /// Deletes a file of a tenant; whether there was one. Its bytes go with it unless others have them.
    ///
    /// # Errors
    /// [`Failure`]. What is left of it then is swept away later.
    pub async fn delete(&self, tenant: &Tenant, media_id: &MediaId) -> Result<bool, Failure> {
        self.delete_own(tenant, media_id, &|_| {}).await
    }

    /// The same, or what a tenant keeps of a file of another server, for an administrator.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete_file(
        &self,
        tenant: &Tenant,
        (server_name, media_id): (&ServerName, &MediaId),
        note: Note<'_>,
    ) -> Result<bool, Failure> {
        if tenant.server_name() == server_name {
            return self.delete_own(tenant, media_id, note).await;
        }
        let key = (tenant.number(), server_name.to_owned(), media_id.as_str().to_owned());
        self.forget(&key, note).await
    }

    async fn delete_own(&self, tenant: &Tenant, media_id: &MediaId, note: Note<'_>) -> Result<bool, Failure> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.0.store.snapshot()?;
            let Some(row) = self.row(&snapshot, tenant, media_id).await? else { return Ok(false) };
            let key = (tenant.number(), media_id.as_str().to_owned());
            let mut batch = Batch::new();
            batch.expect_unchanged(&MEDIA, &key, Some(&row));
            batch.delete(&MEDIA, &key);
            note(&mut batch);
            let stored = match row.content {
                MediaContent::Pending { expires_ts } => {
                    batch.delete(&PENDING_MEDIA, &(key.0, row.uploader, expires_ts, key.1));
                    if self.commit(batch).await? {
                        return Ok(true);
                    }
                    continue;
                }
                MediaContent::Stored(stored) => stored,
            };
            let _lock = self.0.blobs.lock(&stored.blob).await;
            quota::take(&snapshot, (tenant, row.uploader), stored.bytes, &mut batch).await?;
            drop_reference(&snapshot, &stored.blob, &mut batch).await?;
            if self.commit(batch).await? {
                self.0.blobs.remove_below(&thumbnails_of(tenant.number(), media_id)).await?;
                self.remove_unless_kept(&stored.blob).await?;
                return Ok(true);
            }
        }
        Err(Failure::Busy(ATTEMPTS))
    }
}
