//! Randomness, given from outside.

/// Draws random numbers: to spread retries, and to choose among equals. Nothing secret is made of them.
pub trait Randomness: Send + Sync {
    /// The next number, any of them as likely.
    fn next(&self) -> u64;

    /// A number below `bound`; 0 for a bound of 0.
    fn below(&self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or_default()
    }

    /// A time between half of `time_ms` and one and a half of it, so that not everybody comes back at once.
    fn around(&self, time_ms: i64) -> i64 {
        let time = u64::try_from(time_ms).unwrap_or_default();
        let drawn = i64::try_from(self.below(time.saturating_add(1))).unwrap_or_default();
        (time_ms / 2).saturating_add(drawn)
    }
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn next(&self) -> u64 {
        // Without a generator everything is tried at its plain time: worse, but not wrong.
        getrandom::u64().unwrap_or_default()
    }
}
