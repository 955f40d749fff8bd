//! The system's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use freehold_store::Clock;

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now_ts(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
