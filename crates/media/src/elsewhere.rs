//! Files of other servers: from what a tenant keeps of them, or fetched.
//!
//! What one tenant fetched is its own: another that asks for the same fetches it, too, as a server of its own would. Only the
//! bytes lie together with whatever has the same.

use std::time::Duration;

use freehold_store::{ReadError, Tenant};
use futures_util::TryStreamExt as _;
use tokio::time::{Instant, timeout};

use crate::download::{DownloadError, Wanted};
use crate::failure::Failure;
use crate::flights::{Flight, Place, Progress};
use crate::kept::Kept;
use crate::origins::{FetchError, Form, WantedElsewhere};
use crate::picture::harmless_type;
use crate::service::Media;
use crate::size::{Animation, ThumbnailSize};
use crate::thumbnail::{Thumbnail, ThumbnailError};
use crate::upload::UploadError;

impl Media {
    /// A file of another server.
    pub(crate) async fn find_elsewhere(&self, wanted: Wanted<'_>) -> Result<Kept, DownloadError> {
        if !self.0.outside.origins.speak(wanted.tenant, wanted.server_name) {
            return Err(DownloadError::Unknown);
        }
        let place = place_of(wanted);
        if let Some(kept) = self.read_kept(&place).await? {
            return Ok(kept);
        }
        self.fetched(wanted, &place).await?;
        // It may have been forgotten again in the meantime.
        self.read_kept(&place).await?.ok_or(DownloadError::Unknown)
    }

    /// A file of another server that is here already.
    pub(crate) async fn kept(&self, wanted: Wanted<'_>) -> Result<Option<Kept>, DownloadError> {
        if !self.0.outside.origins.speak(wanted.tenant, wanted.server_name) {
            return Ok(None);
        }
        Ok(self.read_kept(&place_of(wanted)).await?)
    }

    /// Waits until the file is kept. However many ask for it, it is fetched once.
    async fn fetched(&self, wanted: Wanted<'_>, place: &Place) -> Result<(), DownloadError> {
        let wait_ms = wanted.wait_ms.min(self.0.settings.wait_ms);
        let deadline = Instant::now() + Duration::from_millis(wait_ms);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (flight, is_new) = self.flight(wanted.tenant, place, left)?;
            let patience = left + Duration::from_millis(self.0.settings.answer_ms);
            match landed(flight, patience).await {
                // Whoever began to ask may have had less patience.
                Err(FetchError::NotYetUploaded) if !is_new && Instant::now() < deadline => {}
                outcome => return Ok(outcome?),
            }
        }
    }

    /// The fetching of a file: that which is under way, or a new one, which goes on when nobody waits for it any more.
    fn flight(&self, tenant: &Tenant, place: &Place, wait: Duration) -> Result<(Flight, bool), FetchError> {
        let (flight, takeoff) = self.0.flights.join_or_begin(place, self.0.settings.fetches_per_tenant)?;
        let Some(takeoff) = takeoff else { return Ok((flight, false)) };
        let (media, tenant, place) = (self.clone(), tenant.clone(), place.clone());
        tokio::spawn(async move {
            let _turn = takeoff.turn.acquire().await;
            let time = Duration::from_millis(media.0.settings.fetch_ms).saturating_add(wait);
            let fetching = media.fetch(&tenant, &place, wait, &takeoff.progress);
            let outcome = timeout(time, fetching).await.unwrap_or_else(|_| {
                Err(FetchError::NotReached { reason: "it does not come to an end in time".to_owned() })
            });
            media.0.flights.land(&place, takeoff.progress, outcome);
        });
        Ok((flight, true))
    }

    async fn fetch(
        &self,
        tenant: &Tenant,
        place: &Place,
        wait: Duration,
        progress: &tokio::sync::watch::Sender<Progress>,
    ) -> Result<(), FetchError> {
        // It may have come between looking and beginning.
        if self.read_kept(place).await?.is_some() {
            return Ok(());
        }
        let most = self.others_file_bytes_max(tenant).await;
        let wanted = WantedElsewhere {
            server_name: &place.1,
            media_id: &place.2,
            form: Form::Original,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            bytes_max: most,
        };
        let fetched = self.0.outside.origins.fetch(tenant, wanted).await?;
        progress.send_replace(Progress::Coming);
        let arrived = self.0.blobs.take_in(fetched.chunks, most).await.map_err(|error| match error {
            UploadError::TooLarge { most } => FetchError::TooLarge { most },
            UploadError::Failure(failure) => failure.into(),
            other => FetchError::NotReached { reason: other.to_string() },
        })?;
        if self.is_withheld([tenant.number(); 2], &arrived.hash).await? {
            self.0.blobs.drop_arrived(&arrived).await;
            return Err(FetchError::Unknown);
        }
        Ok(self.keep_of_others(tenant, place, (&arrived, fetched.names)).await?)
    }

    /// A thumbnail that another server makes, of a file that is too large to be fetched. It is not kept.
    pub(crate) async fn thumbnail_from_elsewhere(
        &self,
        wanted: Wanted<'_>,
        size: ThumbnailSize,
        animation: Animation,
    ) -> Result<Thumbnail, ThumbnailError> {
        let most = self.0.settings.others_thumbnail_bytes;
        let wanted_there = WantedElsewhere {
            server_name: wanted.server_name,
            media_id: wanted.media_id,
            form: Form::Thumbnail(size, animation),
            wait_ms: wanted.wait_ms.min(self.0.settings.wait_ms),
            bytes_max: most,
        };
        let time = Duration::from_millis(self.0.settings.fetch_ms.saturating_add(wanted_there.wait_ms));
        let origins = &self.0.outside.origins;
        let fetching = async {
            let mut fetched = origins.fetch(wanted.tenant, wanted_there).await?;
            let mut bytes = Vec::new();
            let broken = |error| FetchError::NotReached { reason: format!("it broke off: {error}") };
            while let Some(chunk) = fetched.chunks.try_next().await.map_err(broken)? {
                bytes.extend_from_slice(&chunk);
                if bytes.len() as u64 > most {
                    return Err(FetchError::TooLarge { most });
                }
            }
            Ok(bytes)
        };
        let late = || FetchError::NotReached { reason: "it does not come to an end in time".to_owned() };
        let bytes = timeout(time, fetching).await.unwrap_or_else(|_| Err(late()));
        let bytes = bytes.map_err(DownloadError::from)?;
        // What the server says it is does not count.
        let content_type = harmless_type(&bytes).ok_or(ThumbnailError::NoPicture)?;
        let length = bytes.len() as u64;
        let chunks = futures_util::stream::once(std::future::ready(Ok(bytes.into())));
        Ok(Thumbnail { content_type, bytes: length, chunks: Box::pin(chunks) })
    }
}

/// What came of a flight. It has `patience` to begin; what has begun comes to its end.
async fn landed(mut flight: Flight, patience: Duration) -> Result<(), FetchError> {
    let begun = flight.wait_for(|progress| !matches!(progress, Progress::Asked));
    let is_late = timeout(patience, begun).await.is_err();
    if is_late {
        return Err(FetchError::NotYetUploaded);
    }
    let done = flight.wait_for(|progress| matches!(progress, Progress::Done(_))).await;
    match done.as_deref() {
        Ok(Progress::Done(outcome)) => outcome.clone(),
        Ok(_) | Err(_) => Err(Failure::Stopped.into()),
    }
}

fn place_of(wanted: Wanted<'_>) -> Place {
    (wanted.tenant.number(), wanted.server_name.to_owned(), wanted.media_id.clone())
}

impl From<FetchError> for DownloadError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Unknown => DownloadError::Unknown,
            FetchError::NotYetUploaded => DownloadError::NotYetUploaded,
            other => DownloadError::Elsewhere(other),
        }
    }
}

impl From<ReadError> for FetchError {
    fn from(error: ReadError) -> Self {
        Failure::from(error).into()
    }
}
