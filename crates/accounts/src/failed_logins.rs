//! Failed logins slow down further ones of the same account, also of accounts that do not exist.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::TenantNumber;
use lru::LruCache;
use sha2::{Digest, Sha256};

/// How many accounts are remembered; the longest not tried is forgotten first.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8191);
/// So many failures are free.
const FREE: i64 = 10;
/// Every so often one more is, in milliseconds.
const INTERVAL_MS: i64 = 6_000;

/// For each account that somebody failed to log in to, when its failures will be forgotten.
#[derive(Debug)]
pub(crate) struct FailedLogins(Mutex<LruCache<[u8; 32], i64>>);

impl FailedLogins {
    pub(crate) fn new() -> Self {
        FailedLogins(Mutex::new(LruCache::new(REMEMBERED)))
    }

    /// In how many milliseconds the next login is allowed, if it is not allowed now.
    pub(crate) fn wait_ms(&self, account: Account<'_>, now_ts: i64) -> Option<u64> {
        let forgotten_ts = self.lock().peek(&account.key()).copied()?;
        u64::try_from(forgotten_ts - now_ts - FREE * INTERVAL_MS).ok().filter(|wait| *wait > 0)
    }

    /// Somebody failed to log in.
    pub(crate) fn failed(&self, account: Account<'_>, now_ts: i64) {
        let mut remembered = self.lock();
        let forgotten_ts = remembered.get_or_insert_mut(account.key(), || now_ts);
        *forgotten_ts = (*forgotten_ts).max(now_ts) + INTERVAL_MS;
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<[u8; 32], i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An account as it was typed: whether it exists plays no part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account<'a> {
    /// Of which tenant.
    pub(crate) tenant: TenantNumber,
    /// The user id.
    pub(crate) user_id: &'a str,
}

impl Account<'_> {
    fn key(self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.tenant.0.to_be_bytes());
        hash.update(self.user_id.as_bytes());
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn account(tenant: u32) -> Account<'static> {
        Account { tenant: TenantNumber(tenant), user_id: "@a:example.org" }
    }

    #[test]
    fn after_the_free_failures_there_is_one_try_per_interval() {
        let failures = FailedLogins::new();
        for _ in 0..FREE {
            assert_eq!(failures.wait_ms(account(1), 0), None);
            failures.failed(account(1), 0);
        }
        assert_eq!(failures.wait_ms(account(1), 0), None);
        failures.failed(account(1), 0);
        assert_eq!(failures.wait_ms(account(1), 0), Some(6_000));
        assert_eq!(failures.wait_ms(account(1), 6_000), None);
    }

    #[test]
    fn failures_at_one_tenant_slow_down_no_other() {
        let failures = FailedLogins::new();
        for _ in 0..=FREE {
            failures.failed(account(1), 0);
        }
        assert!(failures.wait_ms(account(1), 0).is_some());
        assert_eq!(failures.wait_ms(account(2), 0), None);
    }
}
