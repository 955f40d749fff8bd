//! What requests that broke off left behind.

use freehold_store::Order;
use freehold_store::tables::media::{MEDIA, PENDING_MEDIA};
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::blobs::{ARRIVALS, BLOBS, hash_at};
use crate::failure::Failure;
use crate::service::Media;

/// What was swept away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads that broke off.
    pub arrivals: usize,
    /// Bytes to which nothing refers.
    pub blobs: usize,
    /// Media ids whose content did not come in time.
    pub pending: usize,
}

impl Media {
    /// Removes what crashes and broken connections left: of bytes, what is older than `before_ts` (in milliseconds since the
    /// Unix epoch) by the clock of where they lie, so that nothing is taken from under a running upload.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn sweep(&self, before_ts: i64) -> Result<Swept, Failure> {
        let mut swept = Swept::default();
        let objects = self.0.blobs.objects();
        for arrival in old_below(objects, ARRIVALS, before_ts).await? {
            objects.delete(&arrival.location).await?;
            swept.arrivals += 1;
        }
        for blob in old_below(objects, BLOBS, before_ts).await? {
            let Some(hash) = hash_at(&blob.location) else { continue };
            let _lock = self.0.blobs.lock(&hash).await;
            let snapshot = self.0.store.snapshot()?;
            if snapshot.get(&freehold_store::tables::media::BLOBS, &hash).await?.is_none() {
                self.0.blobs.remove(&hash).await?;
                swept.blobs += 1;
            }
        }
        swept.pending = self.sweep_pending().await?;
        Ok(swept)
    }

    async fn sweep_pending(&self) -> Result<usize, Failure> {
        let now_ts = self.0.clock.now_ts();
        let snapshot = self.0.store.snapshot()?;
        let pending = snapshot.scan_prefix(&PENDING_MEDIA, &(), Order::Ascending, usize::MAX).await?;
        let mut count = 0;
        for (place, ()) in pending.into_iter().filter(|(place, ())| place.2 <= now_ts) {
            let mut batch = freehold_store::Batch::new();
            // Unless its content came just in time.
            batch.expect_present(&PENDING_MEDIA, &place);
            batch.delete(&PENDING_MEDIA, &place);
            batch.delete(&MEDIA, &(place.0, place.3));
            count += usize::from(self.commit(batch).await?);
        }
        Ok(count)
    }
}

async fn old_below(
    objects: &dyn ObjectStore,
    folder: &str,
    before_ts: i64,
) -> Result<Vec<ObjectMeta>, Failure> {
    let found: Vec<ObjectMeta> = objects.list(Some(&Path::from(folder))).try_collect().await?;
    Ok(found.into_iter().filter(|one| one.last_modified.timestamp_millis() < before_ts).collect())
}
