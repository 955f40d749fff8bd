//! What another server answers.

use hyper::HeaderMap;
use hyper::body::Bytes;
use serde::de::DeserializeOwned;

use super::error::RequestError;
use crate::transport::{Body, BodyError};

/// An answer with a status of success.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, whatever it is.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON of some shape.
    ///
    /// # Errors
    /// [`RequestError::Malformed`]: the server is at fault.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, RequestError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| RequestError::Malformed { reason: error.to_string() })
    }
}

/// An answer with a status of success whose body is still to come, within the bounds of the request.
#[derive(Debug)]
pub struct Streamed {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: Body,
}

impl Streamed {
    pub(super) fn new(status: u16, headers: HeaderMap, body: Body) -> Self {
        Streamed { status, headers, body }
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// [`RequestError`]; nothing follows.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RequestError> {
        self.body.chunk().await.transpose().map_err(RequestError::from)
    }

    /// The whole body at once.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn collect(self) -> Result<Answer, RequestError> {
        Ok(Answer { status: self.status, body: self.body.collect().await? })
    }

    /// The body by itself.
    pub fn into_body(self) -> Body {
        self.body
    }
}

impl From<BodyError> for RequestError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { bytes_max } => RequestError::TooLarge { bytes_max },
            BodyError::TooSlow => RequestError::TooSlow,
            BodyError::Broken { reason } => RequestError::BrokeOff { reason },
        }
    }
}
