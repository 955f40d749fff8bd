//! What was found, for a while; what was not found, for a shorter one.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

/// Findings by name, bounded in number. All times are Unix milliseconds, or milliseconds.
pub(super) struct Cache<T, E> {
    entries: Mutex<LruCache<String, Entry<T, E>>>,
}

/// What is remembered of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remembered<T, E> {
    /// Found, and to be believed.
    Fresh(T),
    /// Found a while ago: it is used, and looked for anew at the same time.
    Stale(T),
    /// Looked for in vain lately.
    Failed(E),
    /// Nothing.
    Nothing,
}

/// For how long something is believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    pub(super) fresh_ms: i64,
    /// For how long it may be used after that.
    pub(super) stale_ms: i64,
}

struct Entry<T, E> {
    found: Option<Found<T>>,
    failed: Option<Failed<E>>,
}

struct Found<T> {
    value: T,
    fresh_until_ts: i64,
    stale_until_ts: i64,
}

struct Failed<E> {
    error: E,
    times: u32,
    until_ts: i64,
}

impl<T: Clone, E: Clone> Cache<T, E> {
    pub(super) fn new(entries_max: usize) -> Self {
        let capacity = NonZeroUsize::new(entries_max).unwrap_or(NonZeroUsize::MIN);
        Cache { entries: Mutex::new(LruCache::new(capacity)) }
    }

    pub(super) fn get(&self, name: &str, now_ts: i64) -> Remembered<T, E> {
        let mut entries = self.lock();
        let Some(entry) = entries.get(name) else { return Remembered::Nothing };
        let failed = entry.failed.as_ref().filter(|failed| now_ts < failed.until_ts);
        match &entry.found {
            Some(found) if now_ts < found.fresh_until_ts => Remembered::Fresh(found.value.clone()),
            // What failed just now is not tried again for every request.
            Some(found) if now_ts < found.stale_until_ts => match failed {
                Some(_) => Remembered::Fresh(found.value.clone()),
                None => Remembered::Stale(found.value.clone()),
            },
            _ => match failed {
                Some(failed) => Remembered::Failed(failed.error.clone()),
                None => Remembered::Nothing,
            },
        }
    }

    pub(super) fn found(&self, name: &str, value: T, validity: Validity, now_ts: i64) {
        let fresh_until_ts = now_ts.saturating_add(validity.fresh_ms);
        let stale_until_ts = fresh_until_ts.saturating_add(validity.stale_ms);
        let found = Found { value, fresh_until_ts, stale_until_ts };
        self.lock().put(name.to_owned(), Entry { found: Some(found), failed: None });
    }

    /// Remembers a failure; what was found before stays for its time. `wait_ms` says for how long the nth failure in a
    /// row is remembered.
    pub(super) fn failed(&self, name: &str, error: E, wait_ms: impl FnOnce(u32) -> i64, now_ts: i64) {
        let mut entries = self.lock();
        let before = entries.pop(name).unwrap_or(Entry { found: None, failed: None });
        let times = before.failed.map_or(1, |failed| failed.times.saturating_add(1));
        let until_ts = now_ts.saturating_add(wait_ms(times));
        entries.put(
            name.to_owned(),
            Entry { found: before.found, failed: Some(Failed { error, times, until_ts }) },
        );
    }

    /// Remembers that there certainly is nothing, for a time.
    pub(super) fn gone(&self, name: &str, error: E, time_ms: i64, now_ts: i64) {
        let failed = Failed { error, times: 0, until_ts: now_ts.saturating_add(time_ms) };
        self.lock().put(name.to_owned(), Entry { found: None, failed: Some(failed) });
    }

    /// Has a finding looked for anew when it is asked for next.
    pub(super) fn doubt(&self, name: &str, now_ts: i64) {
        if let Some(found) = self.lock().peek_mut(name).and_then(|entry| entry.found.as_mut()) {
            found.fresh_until_ts = found.fresh_until_ts.min(now_ts);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<String, Entry<T, E>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wait after the nth failure in a row: `min_ms`, doubled with each further one, `max_ms` at most.
pub(crate) fn doubled(times: u32, min_ms: i64, max_ms: i64) -> i64 {
    min_ms.saturating_mul(1_i64 << times.saturating_sub(1).min(32)).min(max_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: Validity = Validity { fresh_ms: 100, stale_ms: 50 };

    fn cache() -> Cache<u8, char> {
        Cache::new(2)
    }

    #[test]
    fn a_finding_is_fresh_and_then_stale_and_then_gone() {
        let cache = cache();
        cache.found("a", 1, VALID, 1000);
        for (ts, expected) in [
            (1099, Remembered::Fresh(1)),
            (1100, Remembered::Stale(1)),
            (1149, Remembered::Stale(1)),
            (1150, Remembered::Nothing),
        ] {
            assert_eq!(cache.get("a", ts), expected, "{ts}");
        }
    }

    #[test]
    fn after_a_failure_what_was_found_is_used_while_it_may_be() {
        let cache = cache();
        cache.found("a", 1, VALID, 1000);
        cache.failed("a", 'e', |_| 20, 1110);
        for (ts, expected) in
            [(1129, Remembered::Fresh(1)), (1130, Remembered::Stale(1)), (1150, Remembered::Nothing)]
        {
            assert_eq!(cache.get("a", ts), expected, "{ts}");
        }
    }

    #[test]
    fn failures_are_remembered_ever_longer() {
        let cache = cache();
        let wait = |times| doubled(times, 10, 35);
        for (ts, until) in [(0, 10), (10, 30), (30, 65), (65, 100)] {
            cache.failed("a", 'e', wait, ts);
            assert_eq!(cache.get("a", until - 1), Remembered::Failed('e'));
            assert_eq!(cache.get("a", until), Remembered::Nothing);
        }
        cache.found("a", 1, VALID, 200);
        cache.failed("a", 'e', wait, 400);
        assert_eq!(cache.get("a", 410), Remembered::Nothing);
    }

    #[test]
    fn what_is_certainly_not_there_is_not_used_although_it_was() {
        let cache = cache();
        cache.found("a", 1, VALID, 1000);
        cache.gone("a", 'e', 10, 1050);
        assert_eq!(cache.get("a", 1055), Remembered::Failed('e'));
    }

    #[test]
    fn names_are_bounded_in_number() {
        let cache = cache();
        for name in ["a", "b", "c"] {
            cache.found(name, 1, VALID, 0);
        }
        assert_eq!(cache.get("a", 0), Remembered::Nothing);
        assert_eq!(cache.get("c", 0), Remembered::Fresh(1));
    }

    #[test]
    fn a_doubted_finding_is_looked_for_anew_and_used_meanwhile() {
        let cache = cache();
        cache.found("a", 1, VALID, 1000);
        cache.doubt("a", 1010);
        assert_eq!(cache.get("a", 1010), Remembered::Stale(1));
    }
}
