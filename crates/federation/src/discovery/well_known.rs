//! The well-known document of a server.

use std::time::Duration;

use ruma_common::{OwnedServerName, ServerName};
use serde_json::{Map, Value};
use thiserror::Error;

use super::caching::valid_ms;
use super::web::{Web, WebError, WebLimits};
use crate::limits::{REDIRECTIONS_MAX, WELL_KNOWN_BYTES_MAX, WELL_KNOWN_TIME_MS};

/// To whom a server delegates (<https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// The name it delegates to.
    pub server_name: OwnedServerName,
    /// For how long it may be believed, in milliseconds.
    pub valid_ms: i64,
}

/// Why there is no delegation. None of it is an error of the server: discovery goes on without.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WellKnownError {
    /// It could not be had.
    #[error(transparent)]
    Web(#[from] WebError),
    /// It is no JSON object with a string under `m.server`.
    #[error("the document has no `m.server`")]
    Malformed,
    /// What it names is no server name.
    #[error("`{named}` is not a server name")]
    Name {
        /// What it names, at most 255 characters of it.
        named: String,
    },
}

impl WellKnownError {
    /// Whether the host has answered, and its answer is that it does not delegate.
    pub fn is_definite(&self) -> bool {
        match self {
            WellKnownError::Web(WebError::Status { status }) => (400..500).contains(status) && *status != 429,
            WellKnownError::Web(_) => false,
            WellKnownError::Malformed | WellKnownError::Name { .. } => true,
        }
    }
}

/// Fetches the document of a host.
pub(super) async fn fetch(web: &Web, host: &str, now_ts: i64) -> Result<Delegation, WellKnownError> {
    let limits = WebLimits {
        time: Duration::from_millis(WELL_KNOWN_TIME_MS),
        bytes_max: WELL_KNOWN_BYTES_MAX,
        redirections_max: REDIRECTIONS_MAX,
    };
    let page = web.get(&format!("https://{host}/.well-known/matrix/server"), limits).await?;
    let valid_ms = valid_ms(&page.headers, now_ts);
    let bytes = page.body.collect().await.map_err(WebError::Body)?;
    Ok(Delegation { server_name: parse(&bytes)?, valid_ms })
}

/// Reads the document, whatever its content type: "servers should ignore the content type".
pub(super) fn parse(bytes: &[u8]) -> Result<OwnedServerName, WellKnownError> {
    let document: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|_| WellKnownError::Malformed)?;
    let named = document.get("m.server").and_then(Value::as_str).ok_or(WellKnownError::Malformed)?;
    ServerName::parse(named).map_err(|_| WellKnownError::Name { named: named.chars().take(255).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_names_a_server_or_is_none() {
        for (document, expected) in [
            (r#"{"m.server":"matrix.example.org:443"}"#, Some("matrix.example.org:443")),
            (r#"{"m.server":"matrix.example.org","other":1}"#, Some("matrix.example.org")),
            (r#"{"m.server":"192.0.2.1"}"#, Some("192.0.2.1")),
            (r#"{"m.server":"[2001:db8::1]:443"}"#, Some("[2001:db8::1]:443")),
            (r#"{"m.server":"https://matrix.example.org"}"#, None),
            (r#"{"m.server":"matrix.example.org/path"}"#, None),
            (r#"{"m.server":"user@matrix.example.org"}"#, None),
            (r#"{"m.server":"matrix.example.org:443:443"}"#, None),
            (r#"{"m.server":"matrix.example.org:99999"}"#, None),
            (r#"{"m.server":"matrix.example.org\r\nHost: a"}"#, None),
            (r#"{"m.server":""}"#, None),
            (r#"{"m.server":["matrix.example.org"]}"#, None),
            (r#"{"m.server":null}"#, None),
            (r#"{"m.homeserver":{}}"#, None),
            (r#"["m.server"]"#, None),
            ("<html>", None),
            ("", None),
        ] {
            let parsed = parse(document.as_bytes()).ok();
            assert_eq!(parsed.as_deref().map(ServerName::as_str), expected, "{document}");
        }
    }
}
