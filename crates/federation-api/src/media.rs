//! [Media](https://spec.matrix.org/v1.19/server-server-api/#content-repository): files of the tenant, in two parts.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use freehold_media::{
    Animation, Chunks, Download, DownloadError, Media, MediaId, Method, Part, Thumbnail, ThumbnailError,
    ThumbnailSize, Wanted,
};
use futures_util::StreamExt as _;
use futures_util::stream::once;
use ruma_common::api::error::ErrorCode;
use serde::Deserialize;

use crate::asker::Asker;
use crate::endpoints::Endpoints;
use crate::error::ApiError;
use crate::input::{Path, Query};

/// The endpoints of this file.
pub(crate) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get("/_matrix/federation/v1/media/download/{media_id}", download)
        .get("/_matrix/federation/v1/media/thumbnail/{media_id}", thumbnail)
}

/// For how long a download waits for its upload if the other side does not say, in milliseconds.
const TIMEOUT_MS: u64 = 20_000;

#[derive(Deserialize)]
struct Patience {
    timeout_ms: Option<u64>,
}

/// A file. The path names no server: it is one of the tenant's.
async fn download(
    State(media): State<Media>,
    asker: Asker,
    Path(media_id): Path<String>,
    Query(Patience { timeout_ms }): Query<Patience>,
) -> Result<Response<Body>, ApiError> {
    let media_id = parsed(&media_id)?;
    let wanted = wanted(&asker, &media_id, timeout_ms);
    let Download { facts, range, chunks } = media.download(wanted, Part::All).await?;
    let described = Described {
        content_type: facts.content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
        disposition: disposition(facts.filename.as_deref()),
        bytes: range.end.saturating_sub(range.start),
    };
    two_parts(&described, chunks)
}

#[derive(Deserialize)]
struct Picture {
    width: u64,
    height: u64,
    method: Option<String>,
    animated: Option<bool>,
    timeout_ms: Option<u64>,
}

/// A picture of the tenant in another size.
async fn thumbnail(
    State(media): State<Media>,
    asker: Asker,
    Path(media_id): Path<String>,
    Query(picture): Query<Picture>,
) -> Result<Response<Body>, ApiError> {
    let media_id = parsed(&media_id)?;
    let wanted = wanted(&asker, &media_id, picture.timeout_ms);
    // Sizes beyond all pictures are as good as the largest number.
    let side = |length: u64| u32::try_from(length).unwrap_or(u32::MAX);
    let method = if picture.method.as_deref() == Some("crop") { Method::Crop } else { Method::Scale };
    let size = ThumbnailSize { width: side(picture.width), height: side(picture.height), method };
    let animation = if picture.animated == Some(true) { Animation::Moving } else { Animation::Still };
    let Thumbnail { content_type, bytes, chunks } = media.thumbnail(wanted, size, animation).await?;
    let ending = content_type.strip_prefix("image/").unwrap_or_default();
    let disposition = format!("inline; filename=thumbnail.{ending}");
    two_parts(&Described { content_type: content_type.to_owned(), disposition, bytes }, chunks)
}

fn parsed(media_id: &str) -> Result<MediaId, ApiError> {
    // One that cannot be is one that is not there.
    MediaId::parse(media_id).map_err(|_| DownloadError::Unknown.into())
}

fn wanted<'w>(asker: &'w Asker, media_id: &'w MediaId, timeout_ms: Option<u64>) -> Wanted<'w> {
    let (tenant, wait_ms) = (&asker.tenant, timeout_ms.unwrap_or(TIMEOUT_MS));
    Wanted { tenant, server_name: tenant.server_name(), media_id, wait_ms: wait_ms.min(WAIT_MS_MAX) }
}

/// The longest time for which a server waits for an upload, in milliseconds.
const WAIT_MS_MAX: u64 = Duration::from_secs(60).as_millis() as u64;

/// What the second part is.
struct Described {
    content_type: String,
    disposition: String,
    bytes: u64,
}

/// > `multipart/mixed` with a `boundary` delineating exactly two parts
fn two_parts(described: &Described, chunks: Chunks) -> Result<Response<Body>, ApiError> {
    let boundary = boundary()?;
    let head = format!(
        "--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\nContent-Type: {}\r\n\
         Content-Disposition: {}\r\n\r\n",
        one_line(&described.content_type),
        one_line(&described.disposition),
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let length = described.bytes.saturating_add(head.len() as u64).saturating_add(tail.len() as u64);
    let text = |text: String| once(std::future::ready(Ok(Bytes::from(text))));
    let mut response = Response::new(Body::from_stream(text(head).chain(chunks).chain(text(tail))));
    let content_type = HeaderValue::try_from(format!("multipart/mixed; boundary={boundary}"));
    response.headers_mut().insert(CONTENT_TYPE, content_type.map_err(ApiError::internal)?);
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    Ok(response)
}

/// What nobody who uploaded a file could have put into it.
fn boundary() -> Result<String, ApiError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(ApiError::internal)?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

/// What an uploader named a file or its type must not end the headers.
fn one_line(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

/// The name of a file, as RFC 6266 and RFC 8187 write it. Nothing is shown inline: what is harmless to show, the server
/// that asks decides for its own users.
fn disposition(filename: Option<&str>) -> String {
    match filename.filter(|name| !name.is_empty()) {
        None => "attachment".to_owned(),
        Some(name) if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) => {
            format!("attachment; filename={name}")
        }
        Some(name) => {
            let encoded: String = name.bytes().map(percent_encoded).collect();
            format!("attachment; filename*=utf-8''{encoded}")
        }
    }
}

fn percent_encoded(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

impl From<DownloadError> for ApiError {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Unknown => ApiError::not_found(error),
            DownloadError::NotYetUploaded => {
                ApiError::new(StatusCode::GATEWAY_TIMEOUT, ErrorCode::NotYetUploaded, error)
            }
            error => ApiError::internal(error),
        }
    }
}

impl From<ThumbnailError> for ApiError {
    fn from(error: ThumbnailError) -> Self {
        match error {
            ThumbnailError::NoSize => ApiError::invalid(error),
            ThumbnailError::Download(error) => error.into(),
            ThumbnailError::NoPicture => ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::Unknown, error),
            ThumbnailError::TooLarge => ApiError::too_large(error),
            ThumbnailError::Failure(_) => ApiError::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_neither_break_the_header_nor_get_lost() {
        for (name, expected) in [
            ("a.png", "attachment; filename=a.png"),
            ("ü \"x\".png", "attachment; filename*=utf-8''%C3%BC%20%22x%22.png"),
            ("a\r\nSet-Cookie: x", "attachment; filename*=utf-8''a%0D%0ASet-Cookie%3A%20x"),
        ] {
            assert_eq!(disposition(Some(name)), expected);
        }
        assert_eq!(disposition(None), "attachment");
        assert_eq!(one_line("text/html\r\n\r\n<script>"), "text/html<script>");
    }
}
