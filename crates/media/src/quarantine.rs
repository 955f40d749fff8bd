//! Files that are given to nobody and not taken in: for a tenant by its decision, for all by the operator's.
//!
//! What is written down is the hash of the bytes, so that the same bytes under another media id are withheld too. A tenant
//! decides for itself only: whoever else has the same bytes keeps them, and learns nothing.

use freehold_store::tables::media::{
    BlobHash, MEDIA, MediaContent, OTHERS_MEDIA, QUARANTINED, QuarantinedRow, StoredRow,
};
use freehold_store::{Batch, Order, ReadError, Tenant, TenantNumber, UserNumber};
use ruma_common::ServerName;

use crate::failure::Failure;
use crate::media_id::MediaId;
use crate::service::{ATTEMPTS, Media};

/// Adds to a batch what is to be durable together with it, such as an entry of an audit log.
pub type Note<'a> = &'a (dyn Fn(&mut Batch) + Sync);

/// A file of a tenant, or one of another server that a tenant keeps, for administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDetails {
    /// Who uploaded it, if it is the tenant's own.
    pub uploader: Option<UserNumber>,
    /// The file; one of another server counts as uploaded when it was fetched.
    pub file: StoredRow,
    /// Whether the tenant withholds it.
    pub quarantined: bool,
    /// Whether the operator withholds it from all.
    pub blocked: bool,
}

impl Media {
    /// A file of a tenant, or one of another server that the tenant keeps; `None` if there is none.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn details(
        &self,
        tenant: &Tenant,
        (server_name, media_id): (&ServerName, &MediaId),
    ) -> Result<Option<FileDetails>, Failure> {
        let snapshot = self.0.store.snapshot()?;
        let found = if tenant.server_name() == server_name {
            let row = snapshot.get(&MEDIA, &(tenant.number(), media_id.as_str().to_owned())).await?;
            row.and_then(|row| match row.content {
                MediaContent::Stored(file) => Some((Some(row.uploader), file)),
                MediaContent::Pending { .. } => None,
            })
        } else {
            let key = (tenant.number(), server_name.to_owned(), media_id.as_str().to_owned());
            snapshot.get(&OTHERS_MEDIA, &key).await?.map(|row| (None, row.file))
        };
        let Some((uploader, file)) = found else { return Ok(None) };
        let withheld = [(Some(tenant.number()), file.blob), (None, file.blob)];
        let withheld = snapshot.get_many(&QUARANTINED, &withheld).await?;
        let [quarantined, blocked] = [0, 1].map(|at| withheld.get(at).is_some_and(Option::is_some));
        Ok(Some(FileDetails { uploader, file, quarantined, blocked }))
    }

    /// Withholds bytes from the users of a tenant and from whoever asks the tenant, or from all without one; whether that is
    /// new.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn quarantine(
        &self,
        tenant: Option<&Tenant>,
        hash: &BlobHash,
        note: Note<'_>,
    ) -> Result<bool, Failure> {
        let row = QuarantinedRow { ts: self.0.clock.now_ts() };
        self.change_quarantine((tenant, hash), Some(row), note).await
    }

    /// Gives bytes free again that were withheld; whether they were.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn release(
        &self,
        tenant: Option<&Tenant>,
        hash: &BlobHash,
        note: Note<'_>,
    ) -> Result<bool, Failure> {
        self.change_quarantine((tenant, hash), None, note).await
    }

    /// Up to `limit` hashes of bytes that a tenant withholds, or that are withheld from all, and since when.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn quarantined(
        &self,
        tenant: Option<&Tenant>,
        limit: usize,
    ) -> Result<Vec<(BlobHash, i64)>, Failure> {
        let number = tenant.map(Tenant::number);
        let snapshot = self.0.store.snapshot()?;
        let rows = snapshot.scan_prefix(&QUARANTINED, &number, Order::Ascending, limit).await?;
        Ok(rows.into_iter().map(|((_, hash), row)| (hash, row.ts)).collect())
    }

    async fn change_quarantine(
        &self,
        (tenant, hash): (Option<&Tenant>, &BlobHash),
        after: Option<QuarantinedRow>,
        note: Note<'_>,
    ) -> Result<bool, Failure> {
        let key = (tenant.map(Tenant::number), *hash);
        // Whoever takes the same bytes in has looked before, or looks after.
        let _lock = self.0.blobs.lock(hash).await;
        for _ in 0..ATTEMPTS {
            let before = self.0.store.snapshot()?.get(&QUARANTINED, &key).await?;
            if before.is_some() == after.is_some() {
                return Ok(false);
            }
            let mut batch = Batch::new();
            batch.expect_unchanged(&QUARANTINED, &key, before.as_ref());
            match &after {
                Some(row) => batch.put(&QUARANTINED, &key, row),
                None => batch.delete(&QUARANTINED, &key),
            }
            note(&mut batch);
            if self.commit(batch).await? {
                return Ok(true);
            }
        }
        Err(Failure::Busy(ATTEMPTS))
    }

    /// Whether bytes are withheld by one of some tenants, or from all.
    pub(crate) async fn is_withheld(
        &self,
        tenants: [TenantNumber; 2],
        hash: &BlobHash,
    ) -> Result<bool, ReadError> {
        let [one, other] = tenants.map(|tenant| (Some(tenant), *hash));
        let found = self.0.store.snapshot()?.get_many(&QUARANTINED, &[(None, *hash), one, other]).await?;
        Ok(found.iter().any(Option::is_some))
    }
}
