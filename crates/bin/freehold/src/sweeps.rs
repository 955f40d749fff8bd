//! What broken uploads left behind is removed now and then.

use std::sync::Arc;
use std::time::Duration;

use freehold_media::Media;
use freehold_store::Clock;

use crate::stop::Stop;

/// How long after the start, and after each time, it is done again.
const ROUND: Duration = Duration::from_secs(60 * 60);
/// What is younger may belong to an upload that still runs.
const YOUNG_MS: i64 = 24 * 60 * 60 * 1000;

/// Sweeps until it is time to stop.
pub(crate) async fn run(media: Media, clock: Arc<dyn Clock>, stop: Stop) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = stop.asked() => return,
        }
        tokio::select! {
            () = sweep(&media, &*clock) => {}
            () = stop.asked() => return,
        }
    }
}

async fn sweep(media: &Media, clock: &dyn Clock) {
    match media.sweep(clock.now_ts().saturating_sub(YOUNG_MS)).await {
        Ok(swept) if swept == freehold_media::Swept::default() => {}
        Ok(swept) => tracing::info!(?swept, "removed what broken uploads left"),
        Err(error) => tracing::warn!(%error, "what broken uploads left was not removed"),
    }
}
