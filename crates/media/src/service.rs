//! The service: its parts and how it writes.

use std::fmt;
use std::sync::Arc;

use freehold_store::tables::media::{MEDIA, MediaRow};
use freehold_store::{Batch, Clock, CommitError, ReadError, Snapshot, Store, Tenant};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tokio::sync::Semaphore;

use crate::blobs::Blobs;
use crate::failure::Failure;
use crate::flights::Flights;
use crate::media_id::MediaId;
use crate::origins::Outside;
use crate::picture::PictureLimits;

/// How often a change is tried anew when others change the same thing at the same time.
pub(crate) const ATTEMPTS: usize = 256;

/// Bounds of the server, whatever its tenants want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSettings {
    /// Most bytes of a file.
    pub file_bytes: u64,
    /// How many bytes of an upload are held in memory at a time. Services that speak S3 want at least 5 MiB.
    pub part_bytes: usize,
    /// Most bytes of a file that is fetched from another server.
    pub others_file_bytes: u64,
    /// Most bytes of a thumbnail that another server makes.
    pub others_thumbnail_bytes: u64,
    /// Most bytes of other servers that are kept for each tenant that does not say otherwise.
    pub others_bytes: u64,
    /// How many files are fetched from other servers for each tenant at the same time.
    pub fetches_per_tenant: usize,
    /// How long the fetching of a file may take once it is there, in milliseconds.
    pub fetch_ms: u64,
    /// How long another server may take to answer, beyond the time for which it waits for an upload, in milliseconds.
    pub answer_ms: u64,
    /// Most media ids of a user that wait for their content.
    pub pending_per_user: usize,
    /// For how long a media id waits, in milliseconds; the specification recommends 24 hours.
    pub pending_ms: i64,
    /// Longest time for which a download waits for an upload, in milliseconds.
    pub wait_ms: u64,
    /// What a picture may cost.
    pub pictures: PictureLimits,
    /// How many pictures are worked on at the same time.
    pub pictures_at_once: usize,
}

impl Default for MediaSettings {
    fn default() -> Self {
        MediaSettings {
            file_bytes: 100 * 1024 * 1024,
            part_bytes: 1024 * 1024,
            others_file_bytes: 100 * 1024 * 1024,
            others_thumbnail_bytes: 4 * 1024 * 1024,
            others_bytes: 1024 * 1024 * 1024,
            fetches_per_tenant: 16,
            fetch_ms: 5 * 60 * 1000,
            answer_ms: 30_000,
            pending_per_user: 10,
            pending_ms: 24 * 60 * 60 * 1000,
            wait_ms: 60_000,
            pictures: PictureLimits::default(),
            pictures_at_once: 1,
        }
    }
}

/// The content repository of all tenants. A clone is another handle on the same service.
#[derive(Clone)]
pub struct Media(pub(crate) Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) outside: Outside,
    pub(crate) flights: Flights,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: MediaSettings,
    pub(crate) pictures: Arc<Semaphore>,
}

impl Media {
    /// The service over a store, with the bytes in `objects`. Who knows tenants is enough for `outside` where there are no other
    /// servers.
    pub fn new(
        store: Store,
        objects: Arc<dyn ObjectStore>,
        outside: impl Into<Outside>,
        clock: Arc<dyn Clock>,
        settings: MediaSettings,
    ) -> Self {
        let pictures = Arc::new(Semaphore::new(settings.pictures_at_once.max(1)));
        let blobs = Blobs::new(objects, settings.part_bytes);
        Media(Arc::new(Parts {
            store,
            blobs,
            outside: outside.into(),
            flights: Flights::default(),
            clock,
            settings,
            pictures,
        }))
    }

    /// Bytes in files below a directory, which exists. What is written there is durable before it is answered.
    ///
    /// # Errors
    /// [`Failure::Objects`] when there is no such directory.
    pub fn files_below(directory: &std::path::Path) -> Result<Arc<dyn ObjectStore>, Failure> {
        Ok(Arc::new(LocalFileSystem::new_with_prefix(directory)?.with_fsync(true)))
    }

    /// Most bytes of a file of a tenant.
    pub async fn file_bytes_max(&self, tenant: &Tenant) -> u64 {
        let policy = self.0.outside.policies.policy(tenant).await;
        let most = self.0.settings.file_bytes;
        policy.file_bytes.map_or(most, |bytes| bytes.min(most))
    }

    pub(crate) async fn row(
        &self,
        snapshot: &Snapshot,
        tenant: &Tenant,
        media_id: &MediaId,
    ) -> Result<Option<MediaRow>, ReadError> {
        snapshot.get(&MEDIA, &(tenant.number(), media_id.as_str().to_owned())).await
    }

    /// Commits; `false` if somebody else was first and the change has to be thought through again.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<bool, Failure> {
        match self.0.store.commit(batch).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(other) => Err(Failure::Commit(other)),
        }
    }
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
