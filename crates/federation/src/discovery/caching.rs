//! For how long an answer may be believed, by its headers.

use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use hyper::header::{AGE, CACHE_CONTROL, EXPIRES};

use crate::limits::{WELL_KNOWN_DEFAULT_MS, WELL_KNOWN_MAX_MS, WELL_KNOWN_MIN_MS};

/// "Servers should respect the cache control headers present on the response, or use a sensible default when headers
/// are not present … Servers should additionally impose a maximum cache time".
///
/// `Cache-Control` goes before `Expires` (<https://www.rfc-editor.org/rfc/rfc9111#section-5.3>).
pub(super) fn valid_ms(headers: &HeaderMap, now_ts: i64) -> i64 {
    let said = match from_cache_control(headers) {
        Some(max_age_ms) => Some(max_age_ms.saturating_sub(age_ms(headers))),
        None => from_expires(headers, now_ts),
    };
    said.unwrap_or(WELL_KNOWN_DEFAULT_MS).clamp(WELL_KNOWN_MIN_MS, WELL_KNOWN_MAX_MS)
}

fn from_cache_control(headers: &HeaderMap) -> Option<i64> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut max_age = None;
    for directive in values.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(0),
            "max-age" => {
                // What cannot be read is taken for stale, as RFC 9111 encourages.
                let seconds: i64 = value.trim().trim_matches('"').parse().unwrap_or_default();
                max_age = max_age.or(Some(seconds.max(0).saturating_mul(1000)));
            }
            _ => {}
        }
    }
    max_age
}

fn age_ms(headers: &HeaderMap) -> i64 {
    let age = headers.get(AGE).and_then(|value| value.to_str().ok()?.trim().parse::<i64>().ok());
    age.unwrap_or_default().max(0).saturating_mul(1000)
}

fn from_expires(headers: &HeaderMap, now_ts: i64) -> Option<i64> {
    let expires = headers.get(EXPIRES)?;
    let now = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(now_ts).ok()?))?;
    let expires = expires.to_str().ok().and_then(|value| httpdate::parse_http_date(value).ok());
    // "a cache recipient MUST interpret invalid date formats … as representing a time in the past".
    let left = expires.and_then(|expires| expires.duration_since(now).ok()).unwrap_or_default();
    Some(i64::try_from(left.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_TS: i64 = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT
    const HOUR_MS: i64 = 60 * 60 * 1000;

    #[test]
    fn headers_say_for_how_long_a_delegation_is_believed() {
        for (headers, expected) in [
            (&[][..], 24 * HOUR_MS),
            (&[("cache-control", "max-age=7200")], 2 * HOUR_MS),
            (&[("cache-control", "public, Max-Age=\"7200\"")], 2 * HOUR_MS),
            (&[("cache-control", "public"), ("cache-control", "max-age=7200")], 2 * HOUR_MS),
            (&[("cache-control", "max-age=7200"), ("age", "3600")], HOUR_MS),
            (&[("cache-control", "max-age=31536000")], WELL_KNOWN_MAX_MS),
            (&[("cache-control", "max-age=0")], WELL_KNOWN_MIN_MS),
            (&[("cache-control", "max-age=-5")], WELL_KNOWN_MIN_MS),
            (&[("cache-control", "max-age=soon")], WELL_KNOWN_MIN_MS),
            (&[("cache-control", "max-age=99999999999999999999")], WELL_KNOWN_MIN_MS),
            (&[("cache-control", "no-store, max-age=7200")], WELL_KNOWN_MIN_MS),
            (&[("cache-control", "max-age=7200, no-cache")], WELL_KNOWN_MIN_MS),
            (&[("cache-control", "private")], 24 * HOUR_MS),
            (&[("expires", "Sun, 06 Nov 1994 10:49:37 GMT")], 2 * HOUR_MS),
            (&[("expires", "Sun, 06 Nov 1994 07:49:37 GMT")], WELL_KNOWN_MIN_MS),
            (&[("expires", "0")], WELL_KNOWN_MIN_MS),
            (&[("cache-control", "max-age=7200"), ("expires", "Sun, 06 Nov 1994 08:49:37 GMT")], 2 * HOUR_MS),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            assert_eq!(valid_ms(&map, NOW_TS), expected, "{headers:?}");
        }
    }
}
