//! What this crate asks of others about other servers.

use std::sync::Arc;

use freehold_store::{BoxFuture, Tenant};
use ruma_common::ServerName;

use crate::blobs::Chunks;
use crate::failure::Failure;
use crate::media_id::MediaId;
use crate::policies::Policies;
use crate::size::{Animation, ThumbnailSize};
use crate::upload::FileNames;

/// Fetches what other servers have.
pub trait Origins: Send + Sync {
    /// Whether a tenant and a server that is not hosted here speak with each other.
    fn speak(&self, asker: &Tenant, server_name: &ServerName) -> bool;

    /// Asks a server for a file, in the name of a tenant.
    ///
    /// # Errors
    /// [`FetchError`].
    fn fetch<'a>(
        &'a self,
        asker: &'a Tenant,
        wanted: WantedElsewhere<'a>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

/// What is asked of another server.
#[derive(Clone, Copy, Debug)]
pub struct WantedElsewhere<'w> {
    /// The server.
    pub server_name: &'w ServerName,
    /// Its media id.
    pub media_id: &'w MediaId,
    /// The file itself, or a thumbnail that the server makes.
    pub form: Form,
    /// For how long the server may wait for an upload, in milliseconds.
    pub wait_ms: u64,
    /// Most bytes that are taken.
    pub bytes_max: u64,
}

/// In which form a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it was uploaded.
    Original,
    /// As a thumbnail of this size.
    Thumbnail(ThumbnailSize, Animation),
}

/// What another server gives.
pub struct Fetched {
    /// How it is named there.
    pub names: FileNames,
    /// The bytes, as they come.
    pub chunks: Chunks,
}

/// Why a file of another server is not had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// The server has no such file, gives it to nobody, or is not spoken with.
    #[error("media not found")]
    Unknown,
    /// The file is still to come.
    #[error("media has not been uploaded yet")]
    NotYetUploaded,
    /// The file is larger than what is fetched.
    #[error("file of another server is larger than {most} bytes")]
    TooLarge {
        /// Most bytes that are fetched.
        most: u64,
    },
    /// The server does not answer, or not as it should.
    #[error("media cannot be fetched: {reason}")]
    NotReached {
        /// What happened.
        reason: String,
    },
    /// Too many files are being fetched for the tenant.
    #[error("{most} files of other servers are being fetched already")]
    TooMany {
        /// The bound.
        most: usize,
    },
    /// What came cannot be kept.
    #[error(transparent)]
    Failure(Arc<Failure>),
}

impl From<Failure> for FetchError {
    fn from(failure: Failure) -> Self {
        FetchError::Failure(Arc::new(failure))
    }
}

/// What lies outside of this crate.
#[derive(Clone)]
pub struct Outside {
    /// Who knows tenants.
    pub policies: Arc<dyn Policies>,
    /// Who fetches from other servers.
    pub origins: Arc<dyn Origins>,
}

/// Tenants that know of each other only.
impl<P: Policies + 'static> From<Arc<P>> for Outside {
    fn from(policies: Arc<P>) -> Self {
        Outside { policies, origins: Arc::new(NoOrigins) }
    }
}

/// There are no other servers.
struct NoOrigins;

impl Origins for NoOrigins {
    fn speak(&self, _: &Tenant, _: &ServerName) -> bool {
        false
    }

    fn fetch<'a>(
        &'a self,
        _: &'a Tenant,
        _: WantedElsewhere<'a>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        Box::pin(std::future::ready(Err(FetchError::Unknown)))
    }
}
