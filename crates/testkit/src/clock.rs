//! A clock that stands still until it is told to move.

/// A fake clock, in milliseconds since the Unix epoch.
///
/// ```
/// use freehold_testkit::Clock;
///
/// let mut clock = Clock::new();
/// let before = clock.now_ms();
/// clock.advance_ms(250);
/// assert_eq!(clock.now_ms(), before + 250);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    now_ms: i64,
}

impl Clock {
    /// A clock at 2026-01-01T00:00:00Z, where generated rooms begin.
    pub fn new() -> Self {
        Self::at_ms(1_767_225_600_000)
    }

    /// A clock at the given time.
    pub fn at_ms(now_ms: i64) -> Self {
        Self { now_ms }
    }

    /// The time this clock shows.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Moves the clock; a negative distance moves it back, as clocks of real servers do.
    pub fn advance_ms(&mut self, distance_ms: i64) {
        self.now_ms = self.now_ms.saturating_add(distance_ms);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
