//! Files as answers: what browsers may do with them.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use freehold_media::{Chunks, Download};

/// [Recommended](https://spec.matrix.org/v1.19/client-server-api/#content-repository) for all content.
const POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';",
);
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Types that do no harm when a browser shows them
/// (<https://spec.matrix.org/v1.19/client-server-api/#serving-inline-content>).
const INLINE: &[&str] = &[
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// The name of a version of a file; files never change.
pub(super) fn etag(media_id: &str) -> String {
    format!("\"{media_id}\"")
}

/// A file, or the part of it that was asked for.
pub(super) fn file(download: Download, etag: &str, filename: Option<&str>) -> Response<Body> {
    let Download { facts, range, chunks } = download;
    let filename = filename.or(facts.filename.as_deref());
    let content_type = facts.content_type.as_deref().unwrap_or_default();
    let disposition = disposition(content_type, filename);
    let content_type = HeaderValue::from_str(content_type).ok().filter(|value| !value.is_empty());
    let length = range.end - range.start;
    let mut response = content((content_type.unwrap_or(OCTETS), &disposition), length, chunks);
    set(response.headers_mut(), ETAG, etag);
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if length != facts.bytes {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let part = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), facts.bytes);
        set(response.headers_mut(), CONTENT_RANGE, &part);
    }
    response
}

/// Content with the headers that keep it from doing harm.
pub(super) fn content(
    (content_type, disposition): (HeaderValue, &str),
    length: u64,
    chunks: Chunks,
) -> Response<Body> {
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    set(headers, CONTENT_DISPOSITION, disposition);
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400, immutable"));
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// `inline` for what is harmless, with the name of the file as RFC 6266 writes it.
fn disposition(content_type: &str, filename: Option<&str>) -> String {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = if INLINE.contains(&essence.as_str()) { "inline" } else { "attachment" };
    match filename.filter(|name| !name.is_empty()) {
        None => kind.to_owned(),
        Some(name) if name.bytes().all(is_plain) => format!("{kind}; filename={name}"),
        Some(name) if name.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{kind}; filename=\"{quoted}\"")
        }
        Some(name) => {
            let encoded: String = name.bytes().map(encoded).collect();
            format!("{kind}; filename*=utf-8''{encoded}")
        }
    }
}

/// What needs no quotes.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte)
}

/// RFC 8187.
fn encoded(byte: u8) -> String {
    if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_types_are_shown_inline() {
        for (content_type, expected) in [
            ("image/png", "inline"),
            ("IMAGE/PNG", "inline"),
            ("text/plain; charset=utf-8", "inline"),
            ("text/html", "attachment"),
            ("image/svg+xml", "attachment"),
            ("application/pdf", "attachment"),
            ("image/png, text/html", "attachment"),
            ("", "attachment"),
        ] {
            assert_eq!(disposition(content_type, None), expected, "{content_type}");
        }
    }

    #[test]
    fn names_of_files_neither_break_the_header_nor_get_lost() {
        for (name, expected) in [
            ("a.png", "attachment; filename=a.png"),
            ("my file.png", "attachment; filename=\"my file.png\""),
            ("a\"; x=\"\\", "attachment; filename=\"a\\\"; x=\\\"\\\\\""),
            ("ü.png", "attachment; filename*=utf-8''%C3%BC.png"),
            ("a\r\nSet-Cookie: x", "attachment; filename*=utf-8''a%0D%0ASet-Cookie%3A%20x"),
        ] {
            assert_eq!(disposition("", Some(name)), expected);
        }
    }
}
