//! The boundary between the parts of a body.

/// The boundary that a `Content-Type` of `multipart/mixed` names
/// (<https://datatracker.ietf.org/doc/html/rfc2046#section-5.1.1>).
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let mut pieces = content_type.split(';').map(str::trim);
    if !pieces.next()?.eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let parameters = pieces.filter_map(|piece| piece.split_once('='));
    let value =
        parameters.into_iter().find(|(name, _)| name.trim_end().eq_ignore_ascii_case("boundary"))?.1.trim();
    let quoted = value.strip_prefix('"').map(|rest| rest.strip_suffix('"'));
    let boundary = quoted.unwrap_or(Some(value))?;
    is_boundary(boundary).then_some(boundary)
}

/// > boundary := 0*69\<bchars> bcharsnospace
///
/// No quote and no semicolon is among them, so that the parameters can be cut at those.
fn is_boundary(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    (1..=70).contains(&text.len()) && text.bytes().all(allowed) && !text.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mixed_parts_with_a_boundary_have_one() {
        let longest = format!("multipart/mixed; boundary={}", "x".repeat(70));
        let longer = format!("multipart/mixed; boundary={}", "x".repeat(71));
        for (content_type, expected) in [
            ("multipart/mixed; boundary=abc", Some("abc")),
            ("Multipart/Mixed;charset=utf-8;BOUNDARY=\"a b:c=d\"", Some("a b:c=d")),
            ("multipart/mixed; boundary = a'()+_,-./:=?", Some("a'()+_,-./:=?")),
            (&longest, Some(&*"x".repeat(70))),
            (&longer, None),
            ("multipart/mixed", None),
            ("multipart/mixed; boundary=", None),
            ("multipart/mixed; boundary=\"a", None),
            ("multipart/mixed; boundary=\"a \"", None),
            ("multipart/mixed; boundary=a\"b", None),
            ("multipart/form-data; boundary=abc", None),
            ("application/json; boundary=abc", None),
            ("", None),
        ] {
            assert_eq!(boundary(content_type), expected, "{content_type}");
        }
    }
}
