//! Time, given from outside.

/// Says what time it is. Programs have the system's clock; tests have one that they set.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ts(&self) -> i64;
}

/// A clock that stands still shows this time.
impl Clock for i64 {
    fn now_ts(&self) -> i64 {
        *self
    }
}
