//! [`Range`](https://www.rfc-editor.org/rfc/rfc9110#field.range) headers.

use axum::http::{HeaderMap, header};
use freehold_media::Part;

/// Which part of a file a request asks for. What is not understood is no request for a part, as the RFC has it.
pub(super) fn part(headers: &HeaderMap, etag: &str) -> Part {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // The part is wanted only if the file is still the same.
    if text(header::IF_RANGE).is_some_and(|wanted| wanted != etag) {
        return Part::All;
    }
    text(header::RANGE).and_then(parse).unwrap_or(Part::All)
}

/// One range in bytes; several at once are answered with all, which is allowed.
fn parse(text: &str) -> Option<Part> {
    let (first, last) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |digits: &str| -> Option<u64> {
        let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        valid.then(|| digits.parse().ok()).flatten()
    };
    match (first, last) {
        ("", last) => Some(Part::Last(number(last)?)),
        (first, "") => Some(Part::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Part::From(first, Some(last)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_understood_and_nothing_else() {
        let cases = [
            ("bytes=0-0", Some(Part::From(0, Some(0)))),
            ("bytes=5-", Some(Part::From(5, None))),
            ("bytes=-5", Some(Part::Last(5))),
            ("bytes=5-4", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
            ("bytes=99999999999999999999-", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
