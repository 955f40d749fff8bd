//! Media ids without content.

use freehold_store::tables::media::{MEDIA, MediaContent, MediaRow, PENDING_MEDIA};
use freehold_store::{Actor, Batch, Order, ReadError};

use crate::failure::Failure;
use crate::media_id::MediaId;
use crate::service::{ATTEMPTS, Media};

/// A media id that waits for its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The media id.
    pub media_id: MediaId,
    /// Until when, in milliseconds since the Unix epoch.
    pub expires_ts: i64,
}

impl Media {
    /// Makes a media id to which its maker may upload a file later.
    /// <https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav1create>
    ///
    /// # Errors
    /// [`ReserveError`].
    pub async fn reserve(&self, actor: &Actor) -> Result<Reservation, ReserveError> {
        if !self.0.outside.policies.policy(&actor.tenant).await.uploads {
            return Err(ReserveError::Closed);
        }
        let (tenant, user) = (actor.tenant.number(), actor.user);
        for _ in 0..ATTEMPTS {
            let snapshot = self.0.store.snapshot()?;
            let now_ts = self.0.clock.now_ts();
            let pending =
                snapshot.scan_prefix(&PENDING_MEDIA, &(tenant, user), Order::Ascending, usize::MAX).await?;
            let mut batch = Batch::new();
            let (expired, waiting): (Vec<_>, Vec<_>) =
                pending.into_iter().map(|(place, ())| place).partition(|place| place.2 <= now_ts);
            for place in expired {
                batch.delete(&MEDIA, &(tenant, place.3.clone()));
                batch.expect_present(&PENDING_MEDIA, &place);
                batch.delete(&PENDING_MEDIA, &place);
            }
            let most = self.0.settings.pending_per_user;
            if let Some(first) = waiting.first().filter(|_| waiting.len() >= most) {
                let wait_ms = first.2.saturating_sub(now_ts).unsigned_abs();
                return Err(ReserveError::TooMany { most, wait_ms });
            }
            let media_id = MediaId::random()?;
            let expires_ts = now_ts.saturating_add(self.0.settings.pending_ms);
            let content = MediaContent::Pending { expires_ts };
            let key = (tenant, media_id.as_str().to_owned());
            batch.expect_absent(&MEDIA, &key);
            batch.put(&MEDIA, &key, &MediaRow { uploader: user, created_ts: now_ts, content });
            batch.put(&PENDING_MEDIA, &(tenant, user, expires_ts, key.1), &());
            if self.commit(batch).await? {
                return Ok(Reservation { media_id, expires_ts });
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }
}

/// Why no media id was made.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// The tenant takes no media.
    #[error("this server takes no uploads")]
    Closed,
    /// Too many media ids of the user wait for their content.
    #[error("{most} uploads are pending already")]
    TooMany {
        /// The bound.
        most: usize,
        /// When the first of them expires, in milliseconds from now.
        wait_ms: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<ReadError> for ReserveError {
    fn from(error: ReadError) -> Self {
        ReserveError::Failure(error.into())
    }
}
