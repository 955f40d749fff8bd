//! Uploads.

use bytes::Bytes;
use freehold_store::tables::media::{
    BLOBS, BlobHash, BlobRow, MEDIA, MediaContent, MediaRow, PENDING_MEDIA, StoredRow,
};
use freehold_store::{Actor, Batch, ReadError, Snapshot};
use futures_util::Stream;

use crate::blobs::Arrived;
use crate::failure::{BodyError, Failure};
use crate::media_id::MediaId;
use crate::policies::MediaPolicy;
use crate::quota::{self, OverQuota};
use crate::service::{ATTEMPTS, Media};

/// How an uploader names a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileNames {
    /// Its type.
    pub content_type: Option<String>,
    /// Its name.
    pub filename: Option<String>,
}

/// Longest content type and file name in bytes; longer ones are left out.
const NAME_BYTES_MAX: usize = 1024;

impl Media {
    /// Takes in a file of a user. It is durable when this is ready.
    /// <https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload>
    ///
    /// # Errors
    /// [`UploadError`]; then nothing of it is kept.
    pub async fn upload(
        &self,
        actor: &Actor,
        names: FileNames,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<MediaId, UploadError> {
        let media_id = MediaId::random()?;
        self.store_file(actor, (&media_id, Place::New), names, body).await?;
        Ok(media_id)
    }

    /// Takes in the file for a media id that its uploader had reserved.
    /// <https://spec.matrix.org/v1.19/client-server-api/#put_matrixmediav3uploadservernamemediaid>
    ///
    /// # Errors
    /// [`UploadError`]; then nothing of it is kept.
    pub async fn fill(
        &self,
        actor: &Actor,
        media_id: &MediaId,
        names: FileNames,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<(), UploadError> {
        let snapshot = self.0.store.snapshot()?;
        // Looked at again when the file is there: this spares the transfer of what would be refused.
        self.place(&snapshot, actor, (media_id, Place::Reserved)).await?;
        self.store_file(actor, (media_id, Place::Reserved), names, body).await
    }

    async fn store_file(
        &self,
        actor: &Actor,
        place: (&MediaId, Place),
        names: FileNames,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<(), UploadError> {
        let policy = self.0.outside.policies.policy(&actor.tenant).await;
        if !policy.uploads {
            return Err(UploadError::Closed);
        }
        let most = self.file_bytes_max(&actor.tenant).await;
        let arrived = self.0.blobs.take_in(body, most).await?;
        let _lock = self.0.blobs.lock(&arrived.hash).await;
        if self.is_withheld([actor.tenant.number(); 2], &arrived.hash).await? {
            self.0.blobs.drop_arrived(&arrived).await;
            return Err(UploadError::Quarantined);
        }
        if let Err(error) = self.0.blobs.keep(&arrived).await {
            self.0.blobs.drop_arrived(&arrived).await;
            return Err(error.into());
        }
        let bound = self.bind(actor, place, names.bounded(), (&arrived, &policy)).await;
        if bound.is_err() {
            self.remove_unless_kept(&arrived.hash).await?;
        }
        bound
    }

    /// Writes down what the file is behind.
    async fn bind(
        &self,
        actor: &Actor,
        place: (&MediaId, Place),
        names: FileNames,
        (arrived, policy): (&Arrived, &MediaPolicy),
    ) -> Result<(), UploadError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.0.store.snapshot()?;
            let now_ts = self.0.clock.now_ts();
            let before = self.place(&snapshot, actor, place).await?;
            let key = (actor.tenant.number(), place.0.as_str().to_owned());
            let mut batch = Batch::new();
            let whose = (&actor.tenant, actor.user);
            quota::add(&snapshot, whose, arrived.bytes, policy, &mut batch).await??;
            add_reference(&snapshot, arrived, &mut batch).await?;
            batch.expect_unchanged(&MEDIA, &key, before.as_ref());
            if let Some(MediaContent::Pending { expires_ts }) = before.as_ref().map(|row| &row.content) {
                let pending = (actor.tenant.number(), actor.user, *expires_ts, key.1.clone());
                batch.delete(&PENDING_MEDIA, &pending);
                // Whoever waits for the file does so by its uploader.
                batch.wake(actor.user);
            }
            let stored = StoredRow {
                blob: arrived.hash,
                bytes: arrived.bytes,
                uploaded_ts: now_ts,
                content_type: names.content_type.clone(),
                filename: names.filename.clone(),
            };
            let created_ts = before.map_or(now_ts, |row| row.created_ts);
            let content = MediaContent::Stored(stored);
            batch.put(&MEDIA, &key, &MediaRow { uploader: actor.user, created_ts, content });
            if self.commit(batch).await? {
                return Ok(());
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }

    /// The row of a media id to which the actor may upload.
    async fn place(
        &self,
        snapshot: &Snapshot,
        actor: &Actor,
        (media_id, place): (&MediaId, Place),
    ) -> Result<Option<MediaRow>, UploadError> {
        let row = self.row(snapshot, &actor.tenant, media_id).await?;
        match (place, &row) {
            (Place::New, None) => Ok(None),
            (Place::New, Some(_)) => Err(UploadError::AlreadyThere),
            (Place::Reserved, None) => Err(UploadError::UnknownMedia),
            (Place::Reserved, Some(found)) => match found.content {
                _ if found.uploader != actor.user => Err(UploadError::NotTheirs),
                MediaContent::Stored(_) => Err(UploadError::AlreadyThere),
                MediaContent::Pending { expires_ts } if expires_ts <= self.0.clock.now_ts() => {
                    Err(UploadError::UnknownMedia)
                }
                MediaContent::Pending { .. } => Ok(row),
            },
        }
    }

    /// Removes bytes if nothing refers to them. The caller holds their lock.
    pub(crate) async fn remove_unless_kept(&self, hash: &BlobHash) -> Result<(), Failure> {
        let kept = self.0.store.snapshot()?.get(&BLOBS, hash).await?;
        if kept.is_none() { self.0.blobs.remove(hash).await } else { Ok(()) }
    }
}

/// Whether a media id is made for the file or was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    New,
    Reserved,
}

/// One media id more is in front of bytes.
pub(crate) async fn add_reference(
    snapshot: &Snapshot,
    arrived: &Arrived,
    batch: &mut Batch,
) -> Result<(), ReadError> {
    let before = snapshot.get(&BLOBS, &arrived.hash).await?;
    let references = before.as_ref().map_or(0, |row| row.references).saturating_add(1);
    batch.expect_unchanged(&BLOBS, &arrived.hash, before.as_ref());
    batch.put(&BLOBS, &arrived.hash, &BlobRow { bytes: arrived.bytes, references });
    Ok(())
}

impl FileNames {
    pub(crate) fn bounded(self) -> Self {
        let bounded = |name: Option<String>| name.filter(|name| name.len() <= NAME_BYTES_MAX);
        FileNames { content_type: bounded(self.content_type), filename: bounded(self.filename) }
    }
}

/// Why a file was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The tenant takes no media.
    #[error("this server takes no uploads")]
    Closed,
    /// The file is larger than files may be.
    #[error("file is larger than {most} bytes")]
    TooLarge {
        /// Most bytes of a file.
        most: u64,
    },
    /// The tenant, or the operator, withholds such a file.
    #[error("this file is not taken here")]
    Quarantined,
    /// There is no room for the file.
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    /// The media id was not reserved, or no longer is.
    #[error("unknown media id")]
    UnknownMedia,
    /// Somebody else reserved the media id.
    #[error("media id was made by another user")]
    NotTheirs,
    /// There is a file already.
    #[error("media id has content already")]
    AlreadyThere,
    /// The rest of the file did not come.
    #[error("upload broke off: {0}")]
    Body(#[source] BodyError),
    /// The store failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<ReadError> for UploadError {
    fn from(error: ReadError) -> Self {
        UploadError::Failure(error.into())
    }
}
