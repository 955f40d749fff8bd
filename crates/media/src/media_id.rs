//! Media ids: the second half of `mxc://` URIs.

use std::fmt;

use crate::failure::Failure;

/// The id of a file of a tenant: at most 255 letters and digits of ASCII, `_` and `-`, so that it can be part of
/// a path (<https://spec.matrix.org/v1.19/client-server-api/#content-repo-security-considerations>).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaId(String);

/// A text that is no media id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("media id has other characters than letters, digits, `_` and `-`, none, or more than 255")]
pub struct InvalidMediaId;

const LONGEST: usize = 255;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl MediaId {
    /// Reads a media id.
    ///
    /// # Errors
    /// [`InvalidMediaId`].
    pub fn parse(text: &str) -> Result<Self, InvalidMediaId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(allowed) {
            return Err(InvalidMediaId);
        }
        Ok(MediaId(text.to_owned()))
    }

    /// A media id that cannot be guessed: 144 random bits.
    pub(crate) fn random() -> Result<Self, Failure> {
        let mut bytes = [0_u8; 24];
        getrandom::fill(&mut bytes).map_err(|error| Failure::Random(error.to_string()))?;
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte & 63)).copied().map(char::from);
        Ok(MediaId(bytes.iter().filter_map(letter).collect()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MediaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A media id that named a path led out of the directory.
    #[test]
    fn cve_2021_41281_only_letters_digits_and_two_signs_are_media_ids() {
        for valid in ["a", "AQwafuaFswefuhsfAFAgsw", "_-09", &"x".repeat(255)] {
            assert_eq!(MediaId::parse(valid).unwrap().as_str(), valid);
        }
        for invalid in ["", "..", "a/b", "a.b", "%2e%2e", "a b", "ä", "a\0", &"x".repeat(256)] {
            assert_eq!(MediaId::parse(invalid), Err(InvalidMediaId), "{invalid:?}");
        }
    }

    #[test]
    fn random_media_ids_are_media_ids_and_differ() {
        let (one, other) = (MediaId::random().unwrap(), MediaId::random().unwrap());
        assert_eq!(MediaId::parse(one.as_str()).unwrap(), one);
        assert_eq!(one.as_str().len(), 24);
        assert_ne!(one, other);
    }
}
