//! What tenants keep of other servers: up to a bound, and what was not asked for the longest goes first.

use freehold_store::tables::media::{
    BLOBS, BlobHash, BlobRow, MediaUseRow, OTHERS_MEDIA, OTHERS_MEDIA_SUM, OTHERS_MEDIA_USED, OthersMediaRow,
    StoredRow,
};
use freehold_store::{Batch, Order, ReadError, Snapshot, Tenant, TenantNumber};
use object_store::path::Path;
use ruma_common::OwnedServerName;

use crate::blobs::{Arrived, thumbnails_of_others};
use crate::failure::Failure;
use crate::flights::Place;
use crate::quarantine::Note;
use crate::service::{ATTEMPTS, Media};
use crate::upload::{FileNames, add_reference};

/// A file that is here, and where its thumbnails are.
pub(crate) struct Kept {
    pub(crate) file: StoredRow,
    pub(crate) thumbnails: Path,
}

pub(crate) type Key = (TenantNumber, OwnedServerName, String);

fn key_of((tenant, server_name, media_id): &Place) -> Key {
    (*tenant, server_name.clone(), media_id.as_str().to_owned())
}

fn used_key(
    (tenant, server_name, media_id): &Key,
    used_ts: i64,
) -> (TenantNumber, i64, OwnedServerName, String) {
    (*tenant, used_ts, server_name.clone(), media_id.clone())
}

impl Media {
    /// How much a tenant keeps of other servers.
    ///
    /// # Errors
    /// [`Failure::Read`].
    pub async fn kept_of_others(&self, tenant: &Tenant) -> Result<MediaUseRow, Failure> {
        let snapshot = self.0.store.snapshot()?;
        Ok(snapshot.get(&OTHERS_MEDIA_SUM, &tenant.number()).await?.unwrap_or_default())
    }

    /// Most bytes of a file that a tenant fetches from another server.
    pub(crate) async fn others_file_bytes_max(&self, tenant: &Tenant) -> u64 {
        let policy = self.0.outside.policies.policy(tenant).await;
        let most = self.0.settings.others_file_bytes.min(self.others_bytes_max(policy.others_bytes));
        policy.others_file_bytes.map_or(most, |bytes| bytes.min(most))
    }

    fn others_bytes_max(&self, policy: Option<u64>) -> u64 {
        policy.unwrap_or(self.0.settings.others_bytes)
    }

    /// A file that is kept. It counts as asked for.
    pub(crate) async fn read_kept(&self, place: &Place) -> Result<Option<Kept>, ReadError> {
        let key = key_of(place);
        let snapshot = self.0.store.snapshot()?;
        let Some(row) = snapshot.get(&OTHERS_MEDIA, &key).await? else { return Ok(None) };
        self.note_use(&key, &row).await;
        let thumbnails = thumbnails_of_others(place.0, &place.1, &place.2);
        Ok(Some(Kept { file: row.file, thumbnails }))
    }

    /// Written down now and then only, so that reading costs no writing.
    async fn note_use(&self, key: &Key, row: &OthersMediaRow) {
        let now_ts = self.0.clock.now_ts();
        if now_ts.saturating_sub(row.used_ts) < USE_GRAIN_MS {
            return;
        }
        let mut batch = Batch::new();
        batch.expect_unchanged(&OTHERS_MEDIA, key, Some(row));
        batch.put(&OTHERS_MEDIA, key, &OthersMediaRow { file: row.file.clone(), used_ts: now_ts });
        batch.delete(&OTHERS_MEDIA_USED, &used_key(key, row.used_ts));
        batch.put(&OTHERS_MEDIA_USED, &used_key(key, now_ts), &());
        // Reading goes on when nothing can be written, and if somebody else was first, it is noted.
        self.commit(batch).await.ok();
    }

    /// Keeps a file that came, and forgets others until there is room for it.
    pub(crate) async fn keep_of_others(
        &self,
        tenant: &Tenant,
        place: &Place,
        (arrived, names): (&Arrived, FileNames),
    ) -> Result<(), Failure> {
        if let Err(error) = self.make_room(tenant, arrived.bytes).await {
            self.0.blobs.drop_arrived(arrived).await;
            return Err(error);
        }
        let _lock = self.0.blobs.lock(&arrived.hash).await;
        if let Err(error) = self.0.blobs.keep(arrived).await {
            self.0.blobs.drop_arrived(arrived).await;
            return Err(error);
        }
        let bound = self.bind_of_others(place, arrived, names.bounded()).await;
        // If it is kept already, or cannot be, nothing may refer to it.
        self.remove_unless_kept(&arrived.hash).await?;
        bound
    }

    async fn bind_of_others(
        &self,
        place: &Place,
        arrived: &Arrived,
        names: FileNames,
    ) -> Result<(), Failure> {
        let key = key_of(place);
        for _ in 0..ATTEMPTS {
            let snapshot = self.0.store.snapshot()?;
            if snapshot.get(&OTHERS_MEDIA, &key).await?.is_some() {
                return Ok(());
            }
            let now_ts = self.0.clock.now_ts();
            let file = StoredRow {
                blob: arrived.hash,
                bytes: arrived.bytes,
                uploaded_ts: now_ts,
                content_type: names.content_type.clone(),
                filename: names.filename.clone(),
            };
            let mut batch = Batch::new();
            batch.expect_absent(&OTHERS_MEDIA, &key);
            batch.put(&OTHERS_MEDIA, &key, &OthersMediaRow { file, used_ts: now_ts });
            batch.put(&OTHERS_MEDIA_USED, &used_key(&key, now_ts), &());
            add_reference(&snapshot, arrived, &mut batch).await?;
            let sum = |held: MediaUseRow| MediaUseRow {
                files: held.files.saturating_add(1),
                bytes: held.bytes.saturating_add(arrived.bytes),
            };
            change_sum(&snapshot, key.0, sum, &mut batch).await?;
            if self.commit(batch).await? {
                return Ok(());
            }
        }
        Err(Failure::Busy(ATTEMPTS))
    }

    /// Forgets what was not asked for the longest until so many more bytes may be kept.
    async fn make_room(&self, tenant: &Tenant, bytes: u64) -> Result<(), Failure> {
        let policy = self.0.outside.policies.policy(tenant).await;
        let most = self.others_bytes_max(policy.others_bytes);
        while self.kept_of_others(tenant).await?.bytes.saturating_add(bytes) > most {
            let snapshot = self.0.store.snapshot()?;
            let oldest =
                snapshot.scan_prefix(&OTHERS_MEDIA_USED, &tenant.number(), Order::Ascending, 1).await?;
            let Some(((tenant, _, server_name, media_id), ())) = oldest.into_iter().next() else { break };
            self.forget(&(tenant, server_name, media_id), &|_| {}).await?;
        }
        Ok(())
    }

    /// Forgets a file of another server; whether it was here. Its bytes go with it unless others have them.
    pub(crate) async fn forget(&self, key: &Key, note: Note<'_>) -> Result<bool, Failure> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.0.store.snapshot()?;
            let Some(row) = snapshot.get(&OTHERS_MEDIA, key).await? else { return Ok(false) };
            let _lock = self.0.blobs.lock(&row.file.blob).await;
            let mut batch = Batch::new();
            batch.expect_unchanged(&OTHERS_MEDIA, key, Some(&row));
            batch.delete(&OTHERS_MEDIA, key);
            batch.delete(&OTHERS_MEDIA_USED, &used_key(key, row.used_ts));
            drop_reference(&snapshot, &row.file.blob, &mut batch).await?;
            let sum = |held: MediaUseRow| MediaUseRow {
                files: held.files.saturating_sub(1),
                bytes: held.bytes.saturating_sub(row.file.bytes),
            };
            change_sum(&snapshot, key.0, sum, &mut batch).await?;
            note(&mut batch);
            if self.commit(batch).await? {
                if let Ok(media_id) = crate::media_id::MediaId::parse(&key.2) {
                    self.0.blobs.remove_below(&thumbnails_of_others(key.0, &key.1, &media_id)).await?;
                }
                self.remove_unless_kept(&row.file.blob).await?;
                return Ok(true);
            }
        }
        Err(Failure::Busy(ATTEMPTS))
    }
}

/// How exactly it is remembered when a file was last asked for, in milliseconds.
const USE_GRAIN_MS: i64 = 60 * 60 * 1000;

async fn change_sum(
    snapshot: &Snapshot,
    tenant: TenantNumber,
    change: impl FnOnce(MediaUseRow) -> MediaUseRow,
    batch: &mut Batch,
) -> Result<(), ReadError> {
    let before = snapshot.get(&OTHERS_MEDIA_SUM, &tenant).await?;
    batch.expect_unchanged(&OTHERS_MEDIA_SUM, &tenant, before.as_ref());
    batch.put(&OTHERS_MEDIA_SUM, &tenant, &change(before.unwrap_or_default()));
    Ok(())
}

/// One media id less is in front of bytes.
pub(crate) async fn drop_reference(
    snapshot: &Snapshot,
    hash: &BlobHash,
    batch: &mut Batch,
) -> Result<(), ReadError> {
    let blob = snapshot.get(&BLOBS, hash).await?;
    batch.expect_unchanged(&BLOBS, hash, blob.as_ref());
    match blob.filter(|blob| blob.references > 1) {
        Some(blob) => batch.put(&BLOBS, hash, &BlobRow { references: blob.references - 1, ..blob }),
        None => batch.delete(&BLOBS, hash),
    }
    Ok(())
}
