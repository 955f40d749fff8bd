//! The body of an answer, as it comes.

use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use thiserror::Error;
use tokio::time::Instant;

/// The body of an answer, chunk by chunk, within bounds of size and time.
pub struct Body {
    inner: UnsyncBoxBody<Bytes, BodyError>,
    deadline: Option<Instant>,
    left: usize,
    bytes_max: usize,
}

impl Body {
    /// A body without bounds.
    pub fn of<B, E>(body: B) -> Self
    where
        B: hyper::body::Body<Data = Bytes, Error = E> + Send + 'static,
        E: std::fmt::Display,
    {
        let broken = |error: E| BodyError::Broken { reason: error.to_string() };
        let inner = body.map_err(broken).boxed_unsync();
        Body { inner, deadline: None, left: usize::MAX, bytes_max: usize::MAX }
    }

    /// A body that is there already.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Body::of(Full::new(bytes.into()))
    }

    /// The same body with bounds: no more than `bytes_max` bytes, all of them within `time` from now.
    #[must_use]
    pub fn bounded(self, bytes_max: usize, time: Duration) -> Self {
        let deadline = Instant::now().checked_add(time);
        Body { inner: self.inner, deadline, left: bytes_max, bytes_max }
    }

    /// The next bytes; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            let frame = match self.deadline {
                Some(deadline) => match tokio::time::timeout_at(deadline, self.inner.frame()).await {
                    Ok(frame) => frame?,
                    Err(_) => return Some(Err(BodyError::TooSlow)),
                },
                None => self.inner.frame().await?,
            };
            match frame.map(hyper::body::Frame::into_data) {
                Err(error) => return Some(Err(error)),
                // Trailers say nothing.
                Ok(Err(_)) => {}
                Ok(Ok(bytes)) => return Some(self.count(bytes)),
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn collect(mut self) -> Result<Bytes, BodyError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await {
            let chunk = chunk?;
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }

    fn count(&mut self, bytes: Bytes) -> Result<Bytes, BodyError> {
        match self.left.checked_sub(bytes.len()) {
            Some(left) => {
                self.left = left;
                Ok(bytes)
            }
            None => Err(BodyError::TooLarge { bytes_max: self.bytes_max }),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

/// Why a body does not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// It is longer than was allowed.
    #[error("the answer has more than {bytes_max} bytes")]
    TooLarge {
        /// The most bytes that were allowed.
        bytes_max: usize,
    },
    /// It did not come in time.
    #[error("the answer does not come to an end in time")]
    TooSlow,
    /// The connection broke.
    #[error("the answer broke off: {reason}")]
    Broken {
        /// What happened.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_ends_at_its_bound() {
        let body = |bytes_max| Body::full("12345").bounded(bytes_max, Duration::from_secs(1));
        assert_eq!(body(5).collect().await.unwrap(), "12345");
        assert_eq!(body(4).collect().await, Err(BodyError::TooLarge { bytes_max: 4 }));
    }
}
