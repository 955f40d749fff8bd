//! Paths and queries of requests.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands in a path as it is (<https://www.rfc-editor.org/rfc/rfc3986#section-2.3>).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path below `/_matrix/federation/`: a fixed beginning, then segments and a query that others have a say in.
pub(crate) fn path(start: &str, segments: &[&str], query: &[(&str, &str)]) -> String {
    let mut path = format!("/_matrix/federation/{start}");
    for segment in segments {
        path.push('/');
        path.extend(utf8_percent_encode(segment, RESERVED));
    }
    for (place, (name, value)) in query.iter().enumerate() {
        path.push(if place == 0 { '?' } else { '&' });
        path.push_str(name);
        path.push('=');
        path.extend(utf8_percent_encode(value, RESERVED));
    }
    path
}

/// What others chose, as one segment of any path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_chose_stays_in_its_segment() {
        let made =
            path("v1/make_join", &["!a/../b?c#d:example.org", "@é:x"], &[("ver", "1&ver=2"), ("ver", "12")]);
        assert_eq!(
            made,
            "/_matrix/federation/v1/make_join/%21a%2F..%2Fb%3Fc%23d%3Aexample.org/%40%C3%A9%3Ax?ver=1%26ver%3D2&ver=12"
        );
    }
}
