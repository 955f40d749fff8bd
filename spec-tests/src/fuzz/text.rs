//! Parsers of text.

use freehold_canonical_json::{Limits, canonicalize, is_canonical, parse};
use freehold_signing::XMatrix;
use ruma_common::CanonicalJsonValue;

/// The tree and the fast path agree on every text; what they print is canonical, says the same,
/// and is what ruma prints.
///
/// # Panics
///
/// When one of that does not hold.
pub fn canonical_json(data: &[u8]) {
    for limits in [Limits::STRICT, Limits::RELAXED] {
        let mut printed = Vec::new();
        let fast = canonicalize(data, &limits, &mut printed);
        let tree = parse(data, &limits);
        let Ok(value) = tree else {
            assert_eq!(fast, tree.map(|_| ()), "fast path and tree disagree");
            assert!(!is_canonical(data, &limits), "what is no JSON is canonical");
            continue;
        };
        assert_eq!(fast, Ok(()), "fast path and tree disagree");
        assert_eq!(value.to_canonical_vec(), printed, "fast path and tree print differently");
        assert!(is_canonical(&printed, &limits), "what is printed is not canonical");
        assert_eq!(parse(&printed, &limits), Ok(value), "what is printed says something else");
        assert_eq!(is_canonical(data, &limits), data == printed, "canonical is what is printed");
    }
    if let Ok(value) = parse(data, &Limits::STRICT) {
        let ruma: Result<CanonicalJsonValue, _> = serde_json::from_slice(data);
        let ruma = ruma.map(|ruma| ruma.to_string().into_bytes());
        assert!(ruma.is_ok_and(|ruma| ruma == value.to_canonical_vec()), "ruma prints something else");
    }
}

/// A header that is read is written so that it reads the same.
///
/// # Panics
///
/// When it is not.
pub fn x_matrix(data: &[u8]) {
    if let Ok(header) = XMatrix::parse(data) {
        assert_eq!(XMatrix::parse(header.to_string().as_bytes()), Ok(header));
    }
}
