//! How many requests who may send, so that no user, address or tenant starves the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use freehold_store::{TenantNumber, UserNumber};

use crate::bodies::Bodies;

/// Rates for the kinds of those who ask; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsSettings {
    /// For each user.
    pub user: Option<Rate>,
    /// For each address that asks a tenant without an access token.
    pub address: Option<Rate>,
    /// For all of a tenant together.
    pub tenant: Option<Rate>,
}

impl LimitsSettings {
    /// No limits.
    pub const OFF: LimitsSettings = LimitsSettings { user: None, address: None, tenant: None };
}

impl Default for LimitsSettings {
    /// Enough for every client that is used by a person.
    fn default() -> Self {
        LimitsSettings {
            user: Some(Rate { per_second: 20, burst: 200 }),
            address: Some(Rate { per_second: 5, burst: 50 }),
            tenant: Some(Rate { per_second: 500, burst: 5000 }),
        }
    }
}

/// A rate with room for bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests per second in the long run.
    pub per_second: u32,
    /// Requests at once after a pause.
    pub burst: u32,
}

/// Who is limited.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// A user of a tenant.
    User(TenantNumber, UserNumber),
    /// A network from which a tenant is asked; `None` when it is not known.
    Address(TenantNumber, Option<IpAddr>),
    /// A tenant.
    Tenant(TenantNumber),
}

/// Too many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// How many milliseconds to wait before the next.
    pub wait_ms: u64,
}

/// For how many keys more than nothing is remembered at most, before what is spent is dropped.
const KEYS_MAX: usize = 100_000;

/// Counts requests. A clone counts together with the original.
///
/// This is the generic cell rate algorithm: per key there is one number, the time at which its bucket is full again.
#[derive(Clone, Debug)]
pub struct Limits {
    settings: LimitsSettings,
    full_at_us: Arc<Mutex<HashMap<LimitKey, i64>>>,
    bodies: Bodies,
}

impl Limits {
    /// Counts by these rates.
    pub fn new(settings: LimitsSettings) -> Self {
        Limits { settings, full_at_us: Arc::default(), bodies: Bodies::default() }
    }

    /// The same with this much memory for bodies.
    pub fn with_bodies(self, bodies: Bodies) -> Self {
        Limits { bodies, ..self }
    }

    /// How much memory the bodies of requests take.
    pub fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    /// Takes one request.
    ///
    /// # Errors
    /// [`RetryAfter`] when the key has none left.
    pub fn take(&self, key: &LimitKey, now_ts: i64) -> Result<(), RetryAfter> {
        self.take_within(key, None, now_ts)
    }

    /// Takes one request of somebody who has a rate of their own. The lower of the two rates holds.
    ///
    /// # Errors
    /// [`RetryAfter`] when the key has none left.
    pub fn take_within(&self, key: &LimitKey, own: Option<Rate>, now_ts: i64) -> Result<(), RetryAfter> {
        let rates = self.rate(key).into_iter().chain(own);
        let Some(rate) = rates.min_by_key(|rate| rate.per_second) else { return Ok(()) };
        let now_us = now_ts.saturating_mul(1000);
        let step_us = 1_000_000 / i64::from(rate.per_second.max(1));
        let mut full_at_us = self.full_at_us.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at_us.len() >= KEYS_MAX {
            full_at_us.retain(|_, full| *full > now_us);
        }
        let next = full_at_us.get(key).copied().unwrap_or(now_us).max(now_us).saturating_add(step_us);
        let over_us = next.saturating_sub(now_us) - step_us.saturating_mul(i64::from(rate.burst.max(1)));
        if over_us > 0 {
            return Err(RetryAfter { wait_ms: over_us.unsigned_abs().div_ceil(1000) });
        }
        full_at_us.insert(key.clone(), next);
        Ok(())
    }

    fn rate(&self, key: &LimitKey) -> Option<Rate> {
        match key {
            LimitKey::User(..) => self.settings.user,
            LimitKey::Address(..) => self.settings.address,
            LimitKey::Tenant(..) => self.settings.tenant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: LimitKey = LimitKey::User(TenantNumber(1), UserNumber(1));
    const SAME_USER_NUMBER_ELSEWHERE: LimitKey = LimitKey::User(TenantNumber(2), UserNumber(1));

    fn two_per_second_three_at_once() -> Limits {
        Limits::new(LimitsSettings { user: Some(Rate { per_second: 2, burst: 3 }), ..LimitsSettings::OFF })
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limits = two_per_second_three_at_once();
        let passed = |now_ts| limits.take(&USER, now_ts);
        assert_eq!([passed(0), passed(0), passed(0)], [Ok(()); 3]);
        assert_eq!(passed(0), Err(RetryAfter { wait_ms: 500 }));
        assert_eq!(passed(499), Err(RetryAfter { wait_ms: 1 }));
        assert_eq!(passed(500), Ok(()));
        assert_eq!(passed(500), Err(RetryAfter { wait_ms: 500 }));
    }

    #[test]
    fn who_is_limited_limits_nobody_else() {
        let limits = two_per_second_three_at_once();
        while limits.take(&USER, 0).is_ok() {}
        assert_eq!(limits.take(&SAME_USER_NUMBER_ELSEWHERE, 0), Ok(()));
    }

    #[test]
    fn tenants_with_the_same_rate_have_one_each() {
        let own = Some(Rate { per_second: 1, burst: 3 });
        for settings in [LimitsSettings::OFF, LimitsSettings::default()] {
            let limits = Limits::new(settings);
            let passed = |tenant| {
                let key = LimitKey::Tenant(TenantNumber(tenant));
                (0..9).filter(|_| limits.take_within(&key, own, 0).is_ok()).count()
            };
            assert_eq!([passed(1), passed(2), passed(1)], [3, 3, 0]);
        }
    }

    #[test]
    fn a_rate_of_ones_own_only_takes_away() {
        let own = |per_second| Some(Rate { per_second, burst: 1 });
        let limits = two_per_second_three_at_once();
        assert_eq!(limits.take_within(&USER, own(1), 0), Ok(()));
        assert_eq!(limits.take_within(&USER, own(1), 0), Err(RetryAfter { wait_ms: 1000 }));
        let limits = two_per_second_three_at_once();
        assert_eq!([0; 3].map(|now_ts| limits.take_within(&USER, own(9), now_ts)), [Ok(()); 3]);
        assert!(limits.take_within(&USER, own(9), 0).is_err());
        let off = Limits::new(LimitsSettings::OFF);
        assert_eq!(off.take_within(&USER, own(1), 0), Ok(()));
        assert!(off.take_within(&USER, own(1), 0).is_err());
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let limits = Limits::new(LimitsSettings::OFF);
        assert!((0..10_000).all(|_| limits.take(&USER, 0).is_ok()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limits = two_per_second_three_at_once();
        let users = i64::try_from(2 * KEYS_MAX).unwrap();
        for user in 0..users {
            let key = LimitKey::User(TenantNumber(1), UserNumber(user.unsigned_abs()));
            limits.take(&key, user).unwrap();
        }
        assert!(limits.full_at_us.lock().unwrap().len() <= KEYS_MAX);
    }
}
