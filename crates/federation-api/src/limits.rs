//! How much other servers may send, in one place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_store::TenantNumber;
use ruma_common::OwnedServerName;

use crate::bodies::Bodies;
use crate::heavy::HeavyAnswers;

/// Bytes of the body of a transaction: 50 events of 65,536 bytes each, 100 EDUs of as many, and what is around them.
/// The specification bounds neither EDUs nor bodies; Synapse takes 200 times 65,536 bytes.
pub(crate) const TRANSACTION_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Bytes of any other body: the largest is an invite with the state that comes with it.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of all bodies that are held at the same time; of this, large ones leave a quarter to small ones.
pub(crate) const BODIES_BYTES_MAX: usize = 96 * 1024 * 1024;
/// Bytes of those that come from one network: two of the largest.
pub(crate) const ADDRESS_BODIES_BYTES_MAX: usize = 2 * TRANSACTION_BYTES_MAX + BODY_BYTES_MAX;
/// Bytes of a body that counts as small: more than one event has.
pub(crate) const SMALL_BODY_BYTES: usize = 128 * 1024;
/// How long the other side may take to send its body.
pub(crate) const BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// Headers with which a server proves who it is: one for each of its keys.
pub(crate) const SIGNATURES_MAX: usize = 4;

/// Events of a transaction
/// (<https://spec.matrix.org/v1.19/server-server-api/#transactions>).
pub(crate) const PDUS_MAX: usize = 50;
/// Events of which the texts are remembered, so that they are known at once when they come for further tenants: some 150 bytes for
/// each.
pub(crate) const RECENT_EVENTS_MAX: usize = 8_192;
/// EDUs of a transaction.
pub(crate) const EDUS_MAX: usize = 100;
/// Bytes of an EDU. The specification has no bound; messages for all devices of a large room come in one.
pub(crate) const EDU_BYTES_MAX: usize = 512 * 1024;
/// Users of whom one `m.presence` tells; of more, the first.
pub(crate) const PRESENCES_MAX: usize = 100;
/// Invites of which one `3pid/onbind` tells.
pub(crate) const BOUND_INVITES_MAX: usize = 20;
/// Bytes of a transaction id.
pub(crate) const TRANSACTION_ID_BYTES_MAX: usize = 255;
/// How many transactions of a server a tenant remembers. A server has one under way at a time.
pub(crate) const TRANSACTIONS_REMEMBERED: usize = 100;
/// For how long it remembers them, in milliseconds. A server sends a transaction again until it is answered, if it is up: what comes
/// again after this time are events that are known, and messages that clients know by their ids.
pub(crate) const TRANSACTIONS_REMEMBERED_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// How many remembered transactions are looked at with one step.
pub(crate) const TRANSACTIONS_PAGE: usize = 256;
/// How many answers to transactions wait to be written, of all servers; whoever sends one more waits with it.
pub(crate) const TRANSACTIONS_NOTED_MAX: usize = 1_000;
/// How long a transaction is worked on before the server is told to send it again.
pub(crate) const TRANSACTION_TIME_MAX: Duration = Duration::from_secs(120);
/// Receipts of one EDU.
pub(crate) const RECEIPTS_MAX: usize = 1000;
/// Answers that take a whole state or auth chain which are put together at the same time: more would hold up everything else, as each
/// of them reads as much as there is of a room.
pub(crate) const STATES_MAX: usize = 8;
/// Those of them for one server. One that catches up asks about many rooms at a time.
pub(crate) const STATES_OF_ORIGIN_MAX: usize = 3;
/// How many are put together or wait for their turn.
pub(crate) const STATES_ASKED_MAX: usize = 256;
/// Those of them for one server.
pub(crate) const STATES_ASKED_OF_ORIGIN_MAX: usize = 32;
/// How long one waits for its turn.
pub(crate) const STATES_TURN_MAX: Duration = Duration::from_secs(10);
/// When to come again who found too many of them, in milliseconds.
pub(crate) const STATES_WAIT_MS: u64 = 1_000;
/// When to come again who found as many queries for keys being answered as may be, in milliseconds.
pub(crate) const NOTARY_WAIT_MS: u64 = 1_000;
/// When to come again with events for which too much is being looked for already, in milliseconds.
pub(crate) const SEARCHES_WAIT_MS: u64 = 5_000;
/// Users of one question about keys.
pub(crate) const KEY_USERS_MAX: usize = 1000;

/// Rates for the kinds of those who ask; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsSettings {
    /// For each server that asks a tenant.
    pub origin: Option<Rate>,
    /// For requests from each network to a tenant that nobody proved to be theirs: those open to everybody, and those
    /// that were refused.
    pub address: Option<Rate>,
}

impl LimitsSettings {
    /// No limits.
    pub const OFF: LimitsSettings = LimitsSettings { origin: None, address: None };
}

impl Default for LimitsSettings {
    /// Enough for a server that is in many busy rooms with the tenant, and catches up after an hour.
    fn default() -> Self {
        LimitsSettings {
            origin: Some(Rate { per_second: 50, burst: 500 }),
            address: Some(Rate { per_second: 10, burst: 100 }),
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

/// Who is limited. Each tenant has buckets of its own: what a server does to one is not held against it at another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LimitKey {
    /// A server that proved who it is.
    Origin(TenantNumber, OwnedServerName),
    /// A network; `None` when it is not known.
    Address(TenantNumber, Option<IpAddr>),
}

impl LimitKey {
    pub(crate) fn of_address(tenant: TenantNumber, address: Option<IpAddr>) -> Self {
        LimitKey::Address(tenant, address.map(network))
    }
}

/// One host has as many IPv6 addresses as it likes within its /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
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
    heavy_answers: HeavyAnswers,
}

impl Limits {
    /// Counts by these rates.
    pub fn new(settings: LimitsSettings) -> Self {
        let (bodies, heavy_answers) = (Bodies::default(), HeavyAnswers::default());
        Limits { settings, full_at_us: Arc::default(), bodies, heavy_answers }
    }

    /// How much memory the bodies of requests take.
    pub(crate) fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    /// How many answers take a whole state.
    pub(crate) fn heavy_answers(&self) -> &HeavyAnswers {
        &self.heavy_answers
    }

    /// Takes one request; or says in how many milliseconds there is one to take.
    pub(crate) fn take(&self, key: LimitKey, now_ts: i64) -> Result<(), u64> {
        let Some(rate) = self.rate(&key) else { return Ok(()) };
        let mut full_at_us = self.full_at_us();
        let next = next_full(&full_at_us, &key, rate, now_ts)?;
        if full_at_us.len() >= KEYS_MAX {
            full_at_us.retain(|_, full| *full > now_ts.saturating_mul(1000));
        }
        full_at_us.insert(key, next);
        Ok(())
    }

    /// Whether there is one to take; or in how many milliseconds there will be.
    pub(crate) fn look(&self, key: &LimitKey, now_ts: i64) -> Result<(), u64> {
        let Some(rate) = self.rate(key) else { return Ok(()) };
        next_full(&self.full_at_us(), key, rate, now_ts).map(drop)
    }

    fn full_at_us(&self) -> MutexGuard<'_, HashMap<LimitKey, i64>> {
        self.full_at_us.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rate(&self, key: &LimitKey) -> Option<Rate> {
        match key {
            LimitKey::Origin(..) => self.settings.origin,
            LimitKey::Address(..) => self.settings.address,
        }
    }
}

/// When the bucket is full again if one is taken now; or for how many milliseconds there is none in it.
fn next_full(
    full_at_us: &HashMap<LimitKey, i64>,
    key: &LimitKey,
    rate: Rate,
    now_ts: i64,
) -> Result<i64, u64> {
    let now_us = now_ts.saturating_mul(1000);
    let step_us = 1_000_000 / i64::from(rate.per_second.max(1));
    let next = full_at_us.get(key).copied().unwrap_or(now_us).max(now_us).saturating_add(step_us);
    let over_us = next.saturating_sub(now_us) - step_us.saturating_mul(i64::from(rate.burst.max(1)));
    if over_us > 0 { Err(over_us.unsigned_abs().div_ceil(1000)) } else { Ok(next) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(tenant: u32) -> LimitKey {
        LimitKey::Origin(TenantNumber(tenant), "a.example".try_into().unwrap())
    }

    fn two_per_second_three_at_once() -> Limits {
        let origin = Some(Rate { per_second: 2, burst: 3 });
        Limits::new(LimitsSettings { origin, address: origin })
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limits = two_per_second_three_at_once();
        let passed = |now_ts| limits.take(origin(1), now_ts);
        assert_eq!([passed(0), passed(0), passed(0)], [Ok(()); 3]);
        assert_eq!(limits.look(&origin(1), 0), Err(500));
        assert_eq!(passed(0), Err(500));
        assert_eq!(passed(499), Err(1));
        assert_eq!(passed(500), Ok(()));
    }

    #[test]
    fn who_asked_one_tenant_too_much_can_ask_another() {
        let limits = two_per_second_three_at_once();
        while limits.take(origin(1), 0).is_ok() {}
        assert_eq!(limits.take(origin(2), 0), Ok(()));
    }

    #[test]
    fn a_host_with_many_addresses_has_one_bucket() {
        let of = |text: &str| LimitKey::of_address(TenantNumber(1), Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limits = two_per_second_three_at_once();
        for number in 0..u32::try_from(2 * KEYS_MAX).unwrap() {
            limits.take(origin(number), i64::from(number)).unwrap();
        }
        assert!(limits.full_at_us().len() <= KEYS_MAX);
    }
}
