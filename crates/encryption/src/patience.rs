//! How long somebody who asks for keys waits for other servers.

use std::time::Duration;

use crate::outside::NotAnswered;
use crate::service::Encryption;

/// How long somebody waits for the keys of other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(Duration);

impl Patience {
    /// Nobody waits longer: a request that is not answered by then is held to have failed by whoever sent it.
    pub const MAX: Duration = Duration::from_secs(30);

    /// The `timeout` of a request, within bounds; without one, "10 seconds is the recommended default"
    /// (<https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery>).
    pub fn asked(timeout: Option<Duration>) -> Self {
        timeout.map_or_else(Self::default, |timeout| Patience(timeout.min(Self::MAX)))
    }
}

impl Default for Patience {
    fn default() -> Self {
        Patience(Duration::from_secs(10))
    }
}

/// When somebody waits no longer, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(i64);

impl Encryption {
    /// When somebody who asks now waits no longer.
    pub(crate) fn deadline(&self, Patience(patience): Patience) -> Deadline {
        let patience_ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        Deadline(self.0.clock.now_ts().saturating_add(patience_ms))
    }

    /// How long it is until then; nobody is asked when it is past.
    pub(crate) fn until(&self, Deadline(ts): Deadline) -> Result<Duration, NotAnswered> {
        let left_ms = u64::try_from(ts.saturating_sub(self.0.clock.now_ts())).unwrap_or(0);
        if left_ms == 0 { Err(NotAnswered) } else { Ok(Duration::from_millis(left_ms)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_waits_as_long_as_asked_and_not_too_long() {
        for (asked, waits) in [
            (None, Duration::from_secs(10)),
            (Some(Duration::ZERO), Duration::ZERO),
            (Some(Duration::from_millis(1_500)), Duration::from_millis(1_500)),
            (Some(Duration::MAX), Patience::MAX),
        ] {
            assert_eq!(Patience::asked(asked), Patience(waits));
        }
    }
}
