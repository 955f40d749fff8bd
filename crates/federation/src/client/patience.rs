//! Whom servers told to wait.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::{Tenant, TenantNumber};
use hyper::HeaderMap;
use hyper::header::RETRY_AFTER;
use lru::LruCache;
use ruma_common::{OwnedServerName, ServerName};
use serde_json::{Map, Value};

use crate::limits::{RETRY_AFTER_MAX_MS, TOLD_TO_WAIT_MAX};

/// Until when which tenant is not to ask which server. Blame is not shared between tenants.
pub(super) struct Patience(Mutex<LruCache<(TenantNumber, OwnedServerName), i64>>);

impl Patience {
    pub(super) fn new() -> Self {
        let capacity = NonZeroUsize::new(TOLD_TO_WAIT_MAX).unwrap_or(NonZeroUsize::MIN);
        Patience(Mutex::new(LruCache::new(capacity)))
    }

    /// Until when a tenant is to wait, if it is.
    pub(super) fn until(&self, tenant: &Tenant, server: &ServerName, now_ts: i64) -> Option<i64> {
        let key = (tenant.number(), server.to_owned());
        let mut told = self.lock();
        let until_ts = told.peek(&key).copied()?;
        if until_ts > now_ts {
            return Some(until_ts);
        }
        told.pop(&key);
        None
    }

    /// A server told a tenant to wait until a time.
    pub(super) fn told(&self, tenant: &Tenant, server: &ServerName, until_ts: i64) {
        self.lock().put((tenant.number(), server.to_owned()), until_ts);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<(TenantNumber, OwnedServerName), i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how long a refused tenant is to wait, in milliseconds: `Retry-After` in seconds, or the deprecated
/// `retry_after_ms` (<https://spec.matrix.org/v1.19/client-server-api/#rate-limiting>).
pub(super) fn retry_after_ms(headers: &HeaderMap, body: &Map<String, Value>) -> Option<i64> {
    let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<i64>().ok());
    let member = || body.get("retry_after_ms").and_then(Value::as_i64);
    let wait_ms = header.map(|seconds| seconds.saturating_mul(1000)).or_else(member)?;
    Some(wait_ms.clamp(0, RETRY_AFTER_MAX_MS))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_says_how_long_to_wait_in_a_header_or_in_the_body() {
        for (header, member, expected) in [
            (None, json!(null), None),
            (Some("3"), json!(9000), Some(3000)),
            (None, json!(9000), Some(9000)),
            (Some("Sun, 06 Nov 1994 08:49:37 GMT"), json!(9000), Some(9000)),
            (Some("-3"), json!(null), Some(0)),
            (Some("99999999999"), json!(null), Some(RETRY_AFTER_MAX_MS)),
            (None, json!("9000"), None),
        ] {
            let headers = HeaderMap::from_iter(header.map(|value| (RETRY_AFTER, value.parse().unwrap())));
            let body = Map::from_iter([("retry_after_ms".to_owned(), member.clone())]);
            assert_eq!(retry_after_ms(&headers, &body), expected, "{header:?} {member}");
        }
    }
}
