//! The name under which a server publishes a key and files its signatures.

use std::{borrow::Borrow, fmt, str::FromStr};

/// A signing key identifier: algorithm, colon, version, such as `ed25519:a_1`.
///
/// Two keys of one server never share an identifier, and a version is opaque and case-sensitive.
/// See [signing details](https://spec.matrix.org/v1.19/appendices/#signing-details).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// Names a new Ed25519 key.
    ///
    /// # Errors
    ///
    /// [`InvalidKeyId::Version`] unless `version` is one or more of `a-zA-Z0-9_`
    /// (<https://spec.matrix.org/v1.19/server-server-api/#publishing-keys>), and
    /// [`InvalidKeyId::TooLong`] above [`KeyId::BYTES_MAX`].
    pub fn ed25519(version: &str) -> Result<Self, InvalidKeyId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if version.is_empty() || !version.bytes().all(allowed) {
            return Err(InvalidKeyId::Version { version: version.chars().take(64).collect() });
        }
        Self::parse(&format!("{ED25519}:{version}"))
    }

    /// Reads an identifier another server made.
    ///
    /// Any version but one with control characters is accepted here, as the reference
    /// implementation does: a server that refused an identifier others accept would refuse events
    /// they accept.
    ///
    /// # Errors
    ///
    /// [`InvalidKeyId::NoColon`] or [`InvalidKeyId::EmptyAlgorithm`] when the two parts are not
    /// there, [`InvalidKeyId::TooLong`] above [`KeyId::BYTES_MAX`], [`InvalidKeyId::Control`] for
    /// what could not stand in a header.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyId> {
        if text.len() > Self::BYTES_MAX {
            return Err(InvalidKeyId::TooLong { bytes: text.len() });
        }
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(InvalidKeyId::Control);
        }
        match text.split_once(':') {
            None => Err(InvalidKeyId::NoColon),
            Some(("", _)) => Err(InvalidKeyId::EmptyAlgorithm),
            Some(_) => Ok(Self(text.into())),
        }
    }

    /// The most bytes an identifier may have: that of the other identifiers of the specification,
    /// which itself gives none for keys.
    pub const BYTES_MAX: usize = 255;

    /// The identifier as the protocol writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first colon.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The part after the first colon.
    pub fn version(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, version)| version)
    }

    /// Whether this names a key of the only algorithm the specification knows.
    pub fn is_ed25519(&self) -> bool {
        self.algorithm() == ED25519
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        Self::parse(text)
    }
}

impl Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for KeyId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Why a text is no signing key identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeyId {
    /// There is no colon between algorithm and version.
    #[error("a key id needs a colon between algorithm and version")]
    NoColon,
    /// Nothing stands before the colon.
    #[error("a key id needs an algorithm before the colon")]
    EmptyAlgorithm,
    /// A control character, which no header could carry.
    #[error("a key id holds no control characters")]
    Control,
    /// The version of a new key holds something other than `a-zA-Z0-9_`, or nothing.
    #[error("a key version is one or more of a-zA-Z0-9_, got {version:?}")]
    Version {
        /// The version asked for, cut at 64 characters.
        version: String,
    },
    /// Longer than [`KeyId::BYTES_MAX`].
    #[error("a key id has at most {} bytes, got {bytes}", KeyId::BYTES_MAX)]
    TooLong {
        /// Length of the text in bytes.
        bytes: usize,
    },
}

pub(crate) const ED25519: &str = "ed25519";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_others_publish() {
        for (text, algorithm, version) in [
            ("ed25519:1", "ed25519", "1"),
            ("ed25519:a_B9", "ed25519", "a_B9"),
            ("ed25519:a-b.c", "ed25519", "a-b.c"),
            ("ed25519:a:b", "ed25519", "a:b"),
            ("ed25519:", "ed25519", ""),
            ("future:x", "future", "x"),
        ] {
            let id = KeyId::parse(text).unwrap();
            assert_eq!((id.algorithm(), id.version(), id.as_str()), (algorithm, version, text));
            assert_eq!(id.is_ed25519(), algorithm == "ed25519");
        }
    }

    #[test]
    fn refuses_what_is_no_identifier() {
        assert_eq!(KeyId::parse("ed25519"), Err(InvalidKeyId::NoColon));
        assert_eq!(KeyId::parse(":1"), Err(InvalidKeyId::EmptyAlgorithm));
        assert_eq!(KeyId::parse("ed25519:a\r\nb"), Err(InvalidKeyId::Control));
        let long = format!("ed25519:{}", "a".repeat(248));
        assert_eq!(KeyId::parse(&long), Err(InvalidKeyId::TooLong { bytes: 256 }));
        assert!(KeyId::parse(long.get(..255).unwrap()).is_ok());
    }

    #[test]
    fn is_looked_up_and_told_as_its_text() {
        let id = KeyId::parse("ed25519:1").unwrap();
        assert_eq!((id.as_ref(), format!("{id:?}").as_str()), ("ed25519:1", r#""ed25519:1""#));
        let ids = std::collections::BTreeSet::from([id, KeyId::parse("ed25519:2").unwrap()]);
        assert!(ids.contains("ed25519:1") && ids.contains("ed25519:2") && !ids.contains("ed25519:3"));
    }

    #[test]
    fn names_new_keys_in_the_grammar_only() {
        assert_eq!(KeyId::ed25519("a_1Z").unwrap().as_str(), "ed25519:a_1Z");
        for version in ["", "a-b", "a:b", "a b", "é", "a."] {
            assert!(matches!(KeyId::ed25519(version), Err(InvalidKeyId::Version { .. })), "{version}");
        }
        assert_eq!(KeyId::ed25519(&"a".repeat(248)), Err(InvalidKeyId::TooLong { bytes: 256 }));
    }
}
