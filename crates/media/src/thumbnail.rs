//! Thumbnails.

use bytes::Bytes;
use freehold_store::tables::media::StoredRow;
use object_store::path::Path;
use tokio::sync::OwnedSemaphorePermit;

use crate::blobs::Chunks;
use crate::download::{DownloadError, Wanted};
use crate::failure::Failure;
use crate::kept::Kept;
use crate::origins::FetchError;
use crate::picture::{self, Made, PictureError};
use crate::service::Media;
use crate::size::{Animation, Method, ThumbnailSize};

/// A picture in another size.
pub struct Thumbnail {
    /// Its type.
    pub content_type: &'static str,
    /// How many bytes it has.
    pub bytes: u64,
    /// The bytes.
    pub chunks: Chunks,
}

impl Media {
    /// A picture that is at least as large as asked for, and no larger than the file.
    /// <https://spec.matrix.org/v1.19/client-server-api/#thumbnails>
    ///
    /// # Errors
    /// [`ThumbnailError`].
    pub async fn thumbnail(
        &self,
        wanted: Wanted<'_>,
        size: ThumbnailSize,
        animation: Animation,
    ) -> Result<Thumbnail, ThumbnailError> {
        if size.width == 0 || size.height == 0 {
            return Err(ThumbnailError::NoSize);
        }
        let too_large = match self.find(wanted).await {
            Ok(found) if found.file.bytes <= self.0.settings.pictures.file_bytes => {
                return self.thumbnail_of(found, size, animation).await;
            }
            Ok(_) => ThumbnailError::TooLarge,
            Err(DownloadError::Elsewhere(error @ FetchError::TooLarge { .. })) => {
                DownloadError::Elsewhere(error).into()
            }
            Err(error) => return Err(error.into()),
        };
        // What is too large for us need not be so for who has it.
        match self.owner(wanted).await {
            Some(_) => Err(too_large),
            None => self.thumbnail_from_elsewhere(wanted, size, animation).await,
        }
    }

    async fn thumbnail_of(
        &self,
        Kept { file: row, thumbnails }: Kept,
        size: ThumbnailSize,
        animation: Animation,
    ) -> Result<Thumbnail, ThumbnailError> {
        // Beyond the largest size that is made, the picture is asked for as large as it is.
        let size = size.made().unwrap_or(ThumbnailSize { width: u32::MAX, height: u32::MAX, ..size });
        let place = place_of(thumbnails, size, animation);
        if let Some(kept) = self.0.blobs.thumbnail(&place).await? {
            return self.as_kept(&row, kept).await;
        }
        // Whoever waited finds what the one before made.
        let permit = self.0.pictures.clone().acquire_owned().await.map_err(|_| Failure::Stopped)?;
        if let Some(kept) = self.0.blobs.thumbnail(&place).await? {
            return self.as_kept(&row, kept).await;
        }
        let (made, permit) = self.make(&row, size, animation, permit).await?;
        let kept = kept(&made);
        self.0.blobs.keep_thumbnail(&place, kept.clone()).await?;
        drop(permit);
        self.as_kept(&row, kept).await
    }

    /// The permit goes with the work, which goes on when nobody waits for it any more.
    async fn make(
        &self,
        row: &StoredRow,
        size: ThumbnailSize,
        animation: Animation,
        permit: OwnedSemaphorePermit,
    ) -> Result<(Made, OwnedSemaphorePermit), ThumbnailError> {
        let file = self.0.blobs.read_all(&row.blob).await?;
        let limits = self.0.settings.pictures.clone();
        let work = move || (picture::thumbnail(&file, size, animation, &limits), permit);
        let (made, permit) = tokio::task::spawn_blocking(work).await.map_err(|_| Failure::Stopped)?;
        made.map(|made| (made, permit)).map_err(|error| match error {
            PictureError::NoPicture => ThumbnailError::NoPicture,
            PictureError::TooLarge => ThumbnailError::TooLarge,
        })
    }

    async fn as_kept(&self, row: &StoredRow, kept: Bytes) -> Result<Thumbnail, ThumbnailError> {
        let mut bytes = kept;
        if bytes.is_empty() {
            return Err(Failure::Stopped.into());
        }
        let kind = bytes.split_to(1);
        let content_type = kind.first().and_then(|kind| TYPES.get(usize::from(*kind)));
        let content_type = content_type.copied().ok_or(Failure::Stopped)?;
        if bytes.is_empty() {
            let chunks = self.0.blobs.read(&row.blob, 0..row.bytes).await?;
            return Ok(Thumbnail { content_type, bytes: row.bytes, chunks });
        }
        let length = bytes.len() as u64;
        let chunks = futures_util::stream::once(std::future::ready(Ok(bytes)));
        Ok(Thumbnail { content_type, bytes: length, chunks: Box::pin(chunks) })
    }
}

/// The types of thumbnails. What is kept of one begins with the place of its type here; if nothing follows, the picture
/// itself is the thumbnail.
const TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

fn kept(made: &Made) -> Bytes {
    let (content_type, bytes): (&str, &[u8]) = match made {
        Made::New(content_type, bytes) => (content_type, bytes),
        Made::Itself(content_type) => (content_type, &[]),
    };
    let kind = TYPES.iter().position(|one| *one == content_type).and_then(|at| u8::try_from(at).ok());
    let mut kept = vec![kind.unwrap_or(u8::MAX)];
    kept.extend_from_slice(bytes);
    kept.into()
}

fn place_of(below: Path, size: ThumbnailSize, animation: Animation) -> Path {
    let method = match size.method {
        Method::Crop => "crop",
        Method::Scale => "scale",
    };
    let moving = match animation {
        Animation::Still => "still",
        Animation::Moving => "moving",
    };
    below.join(format!("{}x{}-{method}-{moving}", size.width, size.height))
}

/// Why there is no thumbnail.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// A side of no length was asked for.
    #[error("width and height must be at least 1")]
    NoSize,
    /// There is no file.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// The file is no picture of a kind that is made smaller.
    #[error("cannot generate thumbnails for this content")]
    NoPicture,
    /// The picture is too large to be made smaller.
    #[error("content is too large to thumbnail")]
    TooLarge,
    /// The store failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}
