//! Whether keys of identity servers are still valid.

use std::time::Duration;

use serde::Deserialize;

use super::path::segment;
use crate::discovery::{Web, WebError, WebLimits};
use crate::limits::{KEY_VALIDITY_BYTES_MAX, KEY_VALIDITY_TIME_MS};

/// The answer of
/// [`/pubkey/isvalid`](https://spec.matrix.org/v1.19/identity-service-api/#get_matrixidentityv2pubkeyisvalid).
#[derive(Deserialize)]
struct Answer {
    valid: bool,
}

/// Asks at a URL that an event names, "using the provided URL rather than constructing a new one": over HTTPS, at an address
/// of the internet, and without following it elsewhere.
pub(super) async fn is_valid(web: &Web, (url, public_key): (&str, &str)) -> Result<bool, WebError> {
    let limits = WebLimits {
        time: Duration::from_millis(KEY_VALIDITY_TIME_MS),
        bytes_max: KEY_VALIDITY_BYTES_MAX,
        redirections_max: 0,
    };
    let page = web.get(&asking(url, public_key), limits).await?;
    let bytes = page.body.collect().await.map_err(WebError::Body)?;
    // What is no such answer does not say that it is valid.
    Ok(serde_json::from_slice::<Answer>(&bytes).is_ok_and(|answer| answer.valid))
}

/// The URL with the key.
fn asking(url: &str, public_key: &str) -> String {
    let page = url.split('#').next().unwrap_or_default();
    let between = if page.contains('?') { '&' } else { '?' };
    format!("{page}{between}public_key={}", segment(public_key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_added_to_the_url_that_was_given() {
        for (url, expected) in [
            ("https://id.example/valid", "https://id.example/valid?public_key=a%2Bb%2Fc"),
            ("https://id.example/valid?v=2", "https://id.example/valid?v=2&public_key=a%2Bb%2Fc"),
            ("https://id.example/valid#part", "https://id.example/valid?public_key=a%2Bb%2Fc"),
        ] {
            assert_eq!(asking(url, "a+b/c"), expected);
        }
    }
}
