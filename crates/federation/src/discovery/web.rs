//! Pages of the web: what others name, fetched without trusting them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{HeaderMap, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use thiserror::Error;
use tokio::time::Instant;

use super::error::DiscoveryError;
use crate::limits::{ADDRESSES_MAX, LOOKUP_TIME_MS};
use crate::transport::{AddressPolicy, Body, BodyError, Endpoint, Looked, LookupError, SendError, Transport};

/// Fetches pages over HTTPS. Every redirection is looked at like the first address.
#[derive(Clone)]
pub struct Web {
    transport: Arc<dyn Transport>,
    policy: AddressPolicy,
}

/// How much a page may cost.
#[derive(Clone, Copy, Debug)]
pub struct WebLimits {
    /// How long everything may take, the body included.
    pub time: Duration,
    /// How many bytes the body may have.
    pub bytes_max: usize,
    /// How many redirections are followed.
    pub redirections_max: usize,
}

/// A page with status 200.
#[derive(Debug)]
pub struct Page {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, within the limits.
    pub body: Body,
}

/// What this server calls itself, to everybody.
pub(crate) const AGENT: &str = "Freehold";

impl Web {
    /// The web over a network, of which only some addresses are asked.
    pub fn new(transport: Arc<dyn Transport>, policy: AddressPolicy) -> Self {
        Web { transport, policy }
    }

    /// The network.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Fetches a page, following redirections to other pages with `https`.
    ///
    /// # Errors
    /// [`WebError`].
    pub async fn get(&self, url: &str, limits: WebLimits) -> Result<Page, WebError> {
        let deadline = Instant::now().checked_add(limits.time).ok_or(WebError::TooSlow)?;
        let fetched = tokio::time::timeout_at(deadline, self.follow(url, limits.redirections_max)).await;
        let response = fetched.map_err(|_| WebError::TooSlow)??;
        let (head, body) = response.into_parts();
        let left = deadline.saturating_duration_since(Instant::now());
        Ok(Page { headers: head.headers, body: body.bounded(limits.bytes_max, left) })
    }

    /// The addresses of a host, or of an IP literal, that may be asked, in the order in which they are tried.
    ///
    /// # Errors
    /// [`DiscoveryError`]; there is none, or none that may be asked.
    pub async fn addresses(&self, host: &str) -> Result<Looked<IpAddr>, DiscoveryError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let looked = match bare.parse() {
            Ok(literal) => Looked { records: vec![literal], valid_ms: i64::MAX },
            Err(_) => self.look_up(bare).await?,
        };
        if looked.records.is_empty() {
            return Err(DiscoveryError::NoAddress { host: host.to_owned() });
        }
        let permitted = looked.records.into_iter().filter(|address| self.policy.permits(*address));
        let records = interleaved(permitted.collect());
        if records.is_empty() {
            return Err(DiscoveryError::NotPublic { host: host.to_owned() });
        }
        Ok(Looked { records, valid_ms: looked.valid_ms })
    }

    async fn look_up(&self, host: &str) -> Result<Looked<IpAddr>, LookupError> {
        let time = Duration::from_millis(LOOKUP_TIME_MS);
        let looked = tokio::time::timeout(time, self.transport.addresses(host)).await;
        let late = || LookupError { name: host.to_owned(), reason: "no answer in time".to_owned() };
        looked.unwrap_or_else(|_| Err(late()))
    }

    async fn follow(&self, url: &str, redirections_max: usize) -> Result<Response<Body>, WebError> {
        let mut uri = page_uri(url)?;
        for _ in 0..=redirections_max {
            let response = self.get_one(&uri).await?;
            if is_redirection(response.status()) {
                uri = redirected(&uri, response.headers())?;
                continue;
            }
            if response.status() != StatusCode::OK {
                return Err(WebError::Status { status: response.status().as_u16() });
            }
            return Ok(response);
        }
        Err(WebError::Redirections { redirections_max })
    }

    async fn get_one(&self, uri: &Uri) -> Result<Response<Body>, WebError> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(443);
        let certificate_name = host.trim_start_matches('[').trim_end_matches(']');
        let mut last = WebError::Host(DiscoveryError::NoAddress { host: host.to_owned() });
        for address in self.addresses(host).await?.records.into_iter().take(ADDRESSES_MAX) {
            let endpoint = Endpoint {
                address: SocketAddr::new(address, port),
                certificate_name: certificate_name.to_owned(),
            };
            let request = Request::get(uri.clone()).header(USER_AGENT, AGENT).body(Bytes::new());
            let request = request.map_err(|_| WebError::Url { url: uri.to_string() })?;
            match self.transport.send(&endpoint, request).await {
                Ok(response) => return Ok(response),
                Err(error) if error.was_not_sent() => last = error.into(),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last)
    }
}

/// Why a page cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WebError {
    /// It is not the URL of a page with `https`, or redirects to something that is none.
    #[error("`{url}` is no address of a page with https")]
    Url {
        /// What it is.
        url: String,
    },
    /// Its host cannot be found, or may not be asked.
    #[error(transparent)]
    Host(#[from] DiscoveryError),
    /// Its host does not answer.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The answer is another than 200.
    #[error("the answer is {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// It redirects for ever.
    #[error("it redirects more than {redirections_max} times")]
    Redirections {
        /// How many redirections are followed.
        redirections_max: usize,
    },
    /// It does not answer in time.
    #[error("no answer in time")]
    TooSlow,
    /// The body does not come to its end.
    #[error(transparent)]
    Body(BodyError),
}

fn is_redirection(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The URL of a page: `https`, with a host, and without credentials.
fn page_uri(url: &str) -> Result<Uri, WebError> {
    let wrong = || WebError::Url { url: url.chars().take(500).collect() };
    let uri: Uri = url.split('#').next().unwrap_or_default().parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    let plain = uri.scheme_str() == Some("https") && !authority.as_str().contains('@');
    if plain && !authority.host().is_empty() { Ok(uri) } else { Err(wrong()) }
}

fn redirected(from: &Uri, headers: &HeaderMap) -> Result<Uri, WebError> {
    let wrong = || WebError::Url { url: String::new() };
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?;
    let authority = from.authority().ok_or_else(wrong)?;
    if location.starts_with("//") {
        page_uri(&format!("https:{location}"))
    } else if location.starts_with('/') {
        page_uri(&format!("https://{authority}{location}"))
    } else {
        page_uri(location)
    }
}

/// One address of each family in turn, so that a broken network of one kind costs one attempt and not all.
fn interleaved(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [six.next(), four.next()];
        if pair.iter().all(Option::is_none) {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_lead_to_pages_with_https_only() {
        let from: Uri = "https://a.example/x".parse().unwrap();
        for (location, expected) in [
            ("/y?z", Some("https://a.example/y?z")),
            ("//b.example/y", Some("https://b.example/y")),
            ("https://b.example:444/y#part", Some("https://b.example:444/y")),
            ("http://b.example/y", None),
            ("ftp://b.example/y", None),
            ("file:///etc/passwd", None),
            ("https://user@b.example/y", None),
            ("y", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            let to = redirected(&from, &headers).ok().map(|uri| uri.to_string());
            assert_eq!(to.as_deref(), expected, "{location}");
        }
        assert!(redirected(&from, &HeaderMap::new()).is_err());
    }

    #[test]
    fn addresses_of_both_families_take_turns() {
        let addresses = ["9.9.9.1", "9.9.9.2", "2620:fe::1", "9.9.9.3"];
        let mixed = interleaved(addresses.iter().map(|address| address.parse().unwrap()).collect());
        let mixed: Vec<String> = mixed.iter().map(IpAddr::to_string).collect();
        assert_eq!(mixed, ["2620:fe::1", "9.9.9.1", "9.9.9.2", "9.9.9.3"]);
    }
}
