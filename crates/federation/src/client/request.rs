//! What is asked of another server.

use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;

use crate::limits::{ANSWER_BYTES_MAX, ANSWER_TIME_MS};

/// A request to another server.
///
/// ```
/// use freehold_federation::Request;
///
/// let request = Request::get("/_matrix/federation/v1/version").within(std::time::Duration::from_secs(5));
/// assert_eq!(request.method, "GET");
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query exactly as they go over the wire, from `/_matrix/` on, percent-encoded.
    pub uri: String,
    /// The body, JSON; `None` for none.
    pub content: Option<Bytes>,
    /// How long everything may take, the body of the answer included.
    pub time: Duration,
    /// How many bytes the answer may have.
    pub bytes_max: usize,
    /// Whether a server that does not answer is asked.
    pub attempt: Attempt,
}

/// Whether a server is asked that did not answer lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attempt {
    /// Only when it is time to try it again.
    #[default]
    WhenDue,
    /// At once, because a person waits for it.
    Always,
}

impl Request {
    /// A request without a body.
    pub fn get(uri: impl Into<String>) -> Self {
        Request::new(Method::GET, uri.into(), None)
    }

    /// A request that puts JSON.
    pub fn put(uri: impl Into<String>, content: impl Into<Bytes>) -> Self {
        Request::new(Method::PUT, uri.into(), Some(content.into()))
    }

    /// A request that posts JSON.
    pub fn post(uri: impl Into<String>, content: impl Into<Bytes>) -> Self {
        Request::new(Method::POST, uri.into(), Some(content.into()))
    }

    /// The same request, which may take this long.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Request { time, ..self }
    }

    /// The same request, whose answer may have this many bytes.
    #[must_use]
    pub fn up_to(self, bytes_max: usize) -> Self {
        Request { bytes_max, ..self }
    }

    /// The same request, made even if the server did not answer lately.
    #[must_use]
    pub fn at_once(self) -> Self {
        Request { attempt: Attempt::Always, ..self }
    }

    fn new(method: Method, uri: String, content: Option<Bytes>) -> Self {
        let time = Duration::from_millis(ANSWER_TIME_MS);
        let attempt = Attempt::default();
        Request { method, uri, content, time, bytes_max: ANSWER_BYTES_MAX, attempt }
    }
}
