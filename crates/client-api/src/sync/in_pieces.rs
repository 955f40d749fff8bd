//! Long answers in pieces.

use std::convert::Infallible;
use std::io;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;

use crate::error::ApiError;

/// How long a piece is at most. The first sync of somebody in many rooms has megabytes, and the allocator of glibc keeps as
/// much of what is freed later as was the largest piece of memory, from 128 KiB on, that was freed before
/// (`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD`, mallopt(3)).
const PIECE_BYTES: usize = 64 * 1024;

/// An answer as JSON, in pieces if it is long.
pub(crate) struct InPieces<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for InPieces<T> {
    fn into_response(self) -> Response {
        let mut pieces = Pieces::default();
        match serde_json::to_writer(&mut pieces, &self.0) {
            Ok(()) => pieces.into_response(),
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}

/// What was written, cut into pieces.
#[derive(Default)]
struct Pieces {
    whole: Vec<Bytes>,
    last: Vec<u8>,
}

impl Pieces {
    fn into_response(self) -> Response {
        let Pieces { mut whole, last } = self;
        whole.push(last.into());
        let length: usize = whole.iter().map(Bytes::len).sum();
        let body = match whole.as_slice() {
            [one] => Body::from(one.clone()),
            _ => Body::from_stream(stream::iter(whole.into_iter().map(Ok::<_, Infallible>))),
        };
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CONTENT_LENGTH, HeaderValue::from(length)),
        ];
        (headers, body).into_response()
    }
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.len() >= PIECE_BYTES {
            // A second piece is seldom the last: what grows would be copied again and again.
            let full = std::mem::replace(&mut self.last, Vec::with_capacity(PIECE_BYTES));
            self.whole.push(full.into());
        }
        let taken = bytes.len().min(PIECE_BYTES - self.last.len());
        self.last.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_the_same_in_any_number_of_pieces() {
        for length in [0, 10, PIECE_BYTES - 2, PIECE_BYTES - 1, 3 * PIECE_BYTES + 5] {
            let value = vec!["x".repeat(length), "y".to_owned()];
            let response = InPieces(&value).into_response();
            let wanted = serde_json::to_vec(&value).unwrap();
            assert_eq!(response.headers()[CONTENT_LENGTH], wanted.len().to_string().as_str());
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            assert_eq!(body, wanted);
        }
    }
}
