//! How much memory the bodies of requests take while they come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::StreamExt;

/// Of each body this much is not counted, so that events are taken while somebody uploads large bodies slowly.
const SMALL_BYTES: usize = 16 * 1024;

/// How long a body may take to come in.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts the bytes of all bodies that are held at the same time. A clone counts together with the original.
#[derive(Clone, Debug)]
pub struct Bodies(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    held: AtomicUsize,
    most: usize,
}

/// A body, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldBody {
    /// The whole body.
    pub(crate) bytes: Bytes,
    _counted: Share,
}

/// Why a body was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyRefused {
    /// It is too large.
    TooLarge,
    /// It did not come to its end.
    BrokeOff,
    /// Too many others are large at the same time.
    NoMemory,
}

/// What one body adds to the count.
#[derive(Debug)]
struct Share {
    bodies: Bodies,
    bytes: usize,
}

impl Bodies {
    /// At most this many bytes at the same time.
    pub fn new(most: usize) -> Self {
        Bodies(Arc::new(Counted { held: AtomicUsize::new(0), most }))
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// How many bytes may be held.
    pub fn most(&self) -> usize {
        self.0.most
    }

    /// Takes a body of at most `most` bytes in.
    pub(crate) async fn take(&self, body: Body, most: usize) -> Result<HeldBody, BodyRefused> {
        let taken = tokio::time::timeout(PATIENCE, self.read(body, most)).await;
        taken.unwrap_or(Err(BodyRefused::BrokeOff))
    }

    async fn read(&self, body: Body, most: usize) -> Result<HeldBody, BodyRefused> {
        let mut share = Share { bodies: self.clone(), bytes: 0 };
        let mut chunks = body.into_data_stream();
        let mut whole = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| BodyRefused::BrokeOff)?;
            if whole.len() + chunk.len() > most {
                return Err(BodyRefused::TooLarge);
            }
            share.grow_to((whole.len() + chunk.len()).saturating_sub(SMALL_BYTES))?;
            whole.extend_from_slice(&chunk);
        }
        Ok(HeldBody { bytes: whole.into(), _counted: share })
    }
}

impl Default for Bodies {
    /// For a small process: eight of the largest.
    fn default() -> Self {
        Bodies::new(64 << 20)
    }
}

impl Share {
    fn grow_to(&mut self, bytes: usize) -> Result<(), BodyRefused> {
        let more = bytes.saturating_sub(self.bytes);
        let counted = &self.bodies.0;
        let add = |held: usize| held.checked_add(more).filter(|sum| *sum <= counted.most);
        let added = counted.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        added.map_err(|_| BodyRefused::NoMemory)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.0.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn body(chunks: usize) -> Body {
        let chunks = (0..chunks).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 1024])));
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn large_bodies_share_what_there_is_and_small_ones_always_pass() {
        let bodies = Bodies::new(100 * 1024);
        let first = bodies.take(body(80), 1 << 20).await.unwrap();
        assert_eq!((first.bytes.len(), bodies.held()), (80 * 1024, 64 * 1024));
        assert_eq!(bodies.take(body(80), 1 << 20).await.unwrap_err(), BodyRefused::NoMemory);
        assert_eq!(bodies.held(), 64 * 1024, "what was refused is not counted");
        assert!(bodies.take(body(16), 1 << 20).await.is_ok());
        drop(first);
        assert_eq!(bodies.held(), 0);
        assert!(bodies.take(body(80), 1 << 20).await.is_ok());
        assert_eq!(bodies.take(body(80), 70 * 1024).await.unwrap_err(), BodyRefused::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_given_up() {
        let bodies = Bodies::new(100 * 1024);
        let endless = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![0; 50 * 1024]))]);
        let endless = Body::from_stream(endless.chain(stream::pending()));
        assert_eq!(bodies.take(endless, 1 << 20).await.unwrap_err(), BodyRefused::BrokeOff);
        assert_eq!(bodies.held(), 0);
    }
}
