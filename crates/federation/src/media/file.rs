//! A file that another server gives: how it is named there, and its bytes as they come.

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use ruma_common::http_headers::ContentDisposition;
use serde_json::{Map, Value};
use thiserror::Error;

use super::boundary::boundary;
use super::multipart::{Multipart, MultipartError, Piece};
use crate::client::{RequestError, Streamed};
use crate::discovery::WebError;
use crate::limits::MEDIA_DESCRIPTION_BYTES_MAX;
use crate::transport::{Body, BodyError};

/// A file of another server.
#[derive(Debug)]
pub struct RemoteFile {
    /// Its type, as the server names it.
    pub content_type: Option<String>,
    /// Its name, as the server names it.
    pub filename: Option<String>,
    /// Its bytes.
    pub body: FileBody,
}

/// The bytes of a file, as they come.
pub struct FileBody(Source);

enum Source {
    /// A body by itself.
    Whole(Body),
    /// A part of a body.
    Part(Box<Parts>),
}

/// Why a file is not had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The server that has it does not answer, or refuses.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The place to which the server sends whoever asks does not answer, or refuses.
    #[error("where the file is said to be: {0}")]
    Elsewhere(#[from] WebError),
    /// The answer is not what it should be.
    #[error(transparent)]
    Malformed(#[from] MultipartError),
    /// The answer does not come to its end.
    #[error(transparent)]
    Body(#[from] BodyError),
}

impl FileBody {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// [`FileError`]; nothing follows.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FileError> {
        match &mut self.0 {
            Source::Whole(body) => Ok(body.chunk().await.transpose()?),
            Source::Part(parts) => match parts.next().await? {
                Piece::Data(bytes) => Ok(Some(bytes)),
                Piece::End | Piece::Head(_) | Piece::Done => Ok(None),
            },
        }
    }
}

impl std::fmt::Debug for FileBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileBody").finish_non_exhaustive()
    }
}

/// What a server answers: the file, or where it is.
pub(super) enum Given {
    Here(RemoteFile),
    At(String),
}

impl RemoteFile {
    /// A file that is a body by itself.
    pub(super) fn whole(headers: &HeaderMap, body: Body) -> Self {
        RemoteFile::named(headers, Source::Whole(body))
    }

    fn named(headers: &HeaderMap, source: Source) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        // Names in other characters are written in ASCII, or in UTF-8 against the rules.
        let disposition = headers.get(CONTENT_DISPOSITION).map(|value| value.as_bytes());
        let disposition = disposition.and_then(|value| ContentDisposition::try_from(value).ok());
        RemoteFile {
            content_type: text(CONTENT_TYPE).map(str::to_owned),
            filename: disposition.and_then(|disposition| disposition.filename),
            body: FileBody(source),
        }
    }
}

/// Reads the answer to a question for a file:
///
/// > `multipart/mixed` with a `boundary` delineating exactly two parts: The first part has a `Content-Type` header of
/// > `application/json` and describes the media's metadata, if any. … The second part is either: the bytes of the media
/// > itself … or a `Location` header to redirect the caller to where the media can be retrieved.
pub(super) async fn read(answer: Streamed) -> Result<Given, FileError> {
    let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let Some(boundary) = boundary(&content_type) else {
        let content_type = content_type.chars().take(200).collect();
        return Err(MultipartError::ContentType { content_type }.into());
    };
    let mut parts = Parts { multipart: Multipart::new(boundary), body: answer.into_body() };
    parts.head().await?;
    parts.description().await?;
    let headers = parts.head().await?;
    match headers.get(LOCATION) {
        Some(location) => Ok(Given::At(location.to_str().map_err(|_| MultipartError::Header)?.to_owned())),
        None => Ok(Given::Here(RemoteFile::named(&headers, Source::Part(Box::new(parts))))),
    }
}

/// The parts of a body, as they come.
struct Parts {
    multipart: Multipart,
    body: Body,
}

impl Parts {
    async fn next(&mut self) -> Result<Piece, FileError> {
        loop {
            if let Some(piece) = self.multipart.next()? {
                return Ok(piece);
            }
            match self.body.chunk().await {
                Some(bytes) => self.multipart.push(&bytes?),
                None => return Err(MultipartError::Unfinished.into()),
            }
        }
    }

    /// The headers of the next part.
    async fn head(&mut self) -> Result<HeaderMap, FileError> {
        match self.next().await? {
            Piece::Head(headers) => Ok(headers),
            Piece::Data(_) | Piece::End | Piece::Done => Err(MultipartError::TooFewParts.into()),
        }
    }

    /// The body of the first part. There is nothing in it yet that would matter.
    async fn description(&mut self) -> Result<Map<String, Value>, FileError> {
        let wrong = || MultipartError::Description { bytes_max: MEDIA_DESCRIPTION_BYTES_MAX };
        let mut text = Vec::new();
        while let Piece::Data(bytes) = self.next().await? {
            text.extend_from_slice(&bytes);
            if text.len() > MEDIA_DESCRIPTION_BYTES_MAX {
                return Err(wrong().into());
            }
        }
        Ok(serde_json::from_slice(&text).map_err(|_| wrong())?)
    }
}
