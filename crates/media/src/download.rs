//! Downloads.

use std::ops::Range;
use std::time::Duration;

use freehold_store::tables::media::{MediaContent, StoredRow};
use freehold_store::{ReadError, Tenant};
use ruma_common::ServerName;
use tokio::time::timeout;

use crate::blobs::{Chunks, thumbnails_of};
use crate::failure::Failure;
use crate::kept::Kept;
use crate::media_id::MediaId;
use crate::origins::FetchError;
use crate::service::Media;

/// What is asked for, by whom.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'w> {
    /// The tenant whose user asks, or which is asked by who knows who.
    pub tenant: &'w Tenant,
    /// The server of the `mxc://` URI.
    pub server_name: &'w ServerName,
    /// The media id of the URI.
    pub media_id: &'w MediaId,
    /// For how long to wait for an upload, in milliseconds.
    pub wait_ms: u64,
}

/// Which bytes of a file are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    All,
    /// From the first number to the second, which is included, or to the end.
    From(u64, Option<u64>),
    /// So many from the end.
    Last(u64),
}

/// A file, or a part of it.
pub struct Download {
    /// What is known of the file.
    pub facts: FileFacts,
    /// Which of its bytes these are.
    pub range: Range<u64>,
    /// The bytes.
    pub chunks: Chunks,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// How many bytes it has.
    pub bytes: u64,
    /// Its type, as the uploader named it.
    pub content_type: Option<String>,
    /// Its name, as the uploader named it.
    pub filename: Option<String>,
    /// When it was uploaded, in milliseconds since the Unix epoch.
    pub uploaded_ts: i64,
}

impl Media {
    /// A file, or a part of it.
    /// <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid>
    ///
    /// # Errors
    /// [`DownloadError`].
    pub async fn download(&self, wanted: Wanted<'_>, part: Part) -> Result<Download, DownloadError> {
        let row = self.find(wanted).await?.file;
        let range = part.of(row.bytes).ok_or(DownloadError::NoSuchPart { bytes: row.bytes })?;
        let chunks = self.0.blobs.read(&row.blob, range.clone()).await?;
        Ok(Download { facts: FileFacts::of(row), range, chunks })
    }

    /// Whether a file may be given to who does not authenticate: it was uploaded before the tenant that is asked froze that
    /// (<https://spec.matrix.org/v1.19/client-server-api/#content-repo-client-behaviour>).
    ///
    /// # Errors
    /// [`DownloadError`].
    pub async fn is_open(&self, wanted: Wanted<'_>) -> Result<bool, DownloadError> {
        let frozen_ts = self.0.outside.policies.policy(wanted.tenant).await.frozen_ts;
        // Spares who cannot have it the wait, and keeps from them whether it is there.
        if frozen_ts == i64::MIN {
            return Ok(false);
        }
        let found = match self.owner(wanted).await {
            Some(owner) => self.find_of(&owner, wanted).await?,
            // What would be fetched now would come too late.
            None if frozen_ts <= self.0.clock.now_ts() => {
                self.kept(wanted).await?.ok_or(DownloadError::Unknown)?
            }
            None => self.find_elsewhere(wanted).await?,
        };
        Ok(found.file.uploaded_ts < frozen_ts)
    }

    /// A file, wherever it is.
    pub(crate) async fn find(&self, wanted: Wanted<'_>) -> Result<Kept, DownloadError> {
        let owner = self.owner(wanted).await;
        let found = match &owner {
            Some(owner) => self.find_of(owner, wanted).await?,
            None => self.find_elsewhere(wanted).await?,
        };
        // As if it were not there.
        let tenants = [owner.as_ref().unwrap_or(wanted.tenant).number(), wanted.tenant.number()];
        match self.is_withheld(tenants, &found.file.blob).await? {
            true => Err(DownloadError::Unknown),
            false => Ok(found),
        }
    }

    /// The tenant that has a file; none for those of servers elsewhere, and of tenants that are not spoken with.
    pub(crate) async fn owner(&self, wanted: Wanted<'_>) -> Option<Tenant> {
        match wanted.tenant.server_name() == wanted.server_name {
            true => Some(wanted.tenant.clone()),
            false => self.0.outside.policies.reach(wanted.tenant, wanted.server_name).await,
        }
    }

    async fn find_of(&self, owner: &Tenant, wanted: Wanted<'_>) -> Result<Kept, DownloadError> {
        let wait = Duration::from_millis(wanted.wait_ms.min(self.0.settings.wait_ms));
        let file = timeout(wait, self.uploaded(owner, wanted.media_id)).await;
        let file = file.map_err(|_| DownloadError::NotYetUploaded)??;
        Ok(Kept { file, thumbnails: thumbnails_of(owner.number(), wanted.media_id) })
    }

    /// A file, once it is there.
    async fn uploaded(&self, owner: &Tenant, media_id: &MediaId) -> Result<StoredRow, DownloadError> {
        loop {
            let snapshot = self.0.store.snapshot()?;
            let row = self.row(&snapshot, owner, media_id).await?.ok_or(DownloadError::Unknown)?;
            match row.content {
                MediaContent::Stored(row) => return Ok(row),
                MediaContent::Pending { expires_ts } if expires_ts <= self.0.clock.now_ts() => {
                    return Err(DownloadError::Unknown);
                }
                MediaContent::Pending { .. } => {
                    let waiting = self.0.store.wakes().wait_for(row.uploader);
                    // It may have come between reading and beginning to wait.
                    let snapshot = self.0.store.snapshot()?;
                    let again = self.row(&snapshot, owner, media_id).await?;
                    if again.is_some_and(|row| matches!(row.content, MediaContent::Pending { .. })) {
                        waiting.woken().await;
                    }
                }
            }
        }
    }
}

impl Part {
    /// The bytes of a file of this size, if it has any of them.
    fn of(self, bytes: u64) -> Option<Range<u64>> {
        match self {
            Part::All => Some(0..bytes),
            Part::From(first, last) => {
                let end = last.map_or(bytes, |last| last.saturating_add(1)).min(bytes);
                (first < end).then_some(first..end)
            }
            Part::Last(count) => (count > 0 && bytes > 0).then(|| bytes.saturating_sub(count)..bytes),
        }
    }
}

impl FileFacts {
    pub(crate) fn of(row: StoredRow) -> Self {
        let StoredRow { bytes, content_type, filename, uploaded_ts, .. } = row;
        FileFacts { bytes, content_type, filename, uploaded_ts }
    }
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// There is no such file, or its server is not spoken with.
    #[error("media not found")]
    Unknown,
    /// The file is still to come.
    #[error("media has not been uploaded yet")]
    NotYetUploaded,
    /// The file has no such bytes.
    #[error("file of {bytes} bytes has no such part")]
    NoSuchPart {
        /// How many bytes it has.
        bytes: u64,
    },
    /// The file is of another server, and was not had from there.
    #[error(transparent)]
    Elsewhere(FetchError),
    /// The store failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<ReadError> for DownloadError {
    fn from(error: ReadError) -> Self {
        DownloadError::Failure(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_where_the_file_ends() {
        let cases = [
            (Part::All, 10, Some(0..10)),
            (Part::All, 0, Some(0..0)),
            (Part::From(0, Some(0)), 10, Some(0..1)),
            (Part::From(3, None), 10, Some(3..10)),
            (Part::From(3, Some(99)), 10, Some(3..10)),
            (Part::From(10, None), 10, None),
            (Part::From(5, Some(4)), 10, None),
            (Part::From(0, Some(u64::MAX)), 10, Some(0..10)),
            (Part::Last(3), 10, Some(7..10)),
            (Part::Last(30), 10, Some(0..10)),
            (Part::Last(0), 10, None),
        ];
        for (part, bytes, expected) in cases {
            assert_eq!(part.of(bytes), expected, "{part:?} of {bytes}");
        }
    }
}
