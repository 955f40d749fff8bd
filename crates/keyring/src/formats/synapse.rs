//! Synapse's signing key file: one line per key, `ed25519 <version> <base64 seed>`.
//!
//! Synapse signs with the key of the first line and publishes all of them. The seed is 32 bytes in
//! base64; Synapse writes it unpadded, ess-helm wrote it padded, both are read. Empty lines are
//! skipped ([synapse#13737](https://github.com/matrix-org/synapse/issues/13737)).

use freehold_signing::{InvalidKeyId, KeyId};
use thiserror::Error;
use zeroize::Zeroizing;

use super::encoding::{decode_seed, encode_unpadded};
use crate::{SecretKey, SecretKeyError};

/// Reads a signing key file. The first key of the result is the one Synapse signs with.
///
/// # Errors
///
/// [`KeyFileError`], with the number of the line, counted from 1.
pub fn parse(text: &str) -> Result<Vec<SecretKey>, KeyFileError> {
    if text.len() > BYTES_MAX {
        return Err(KeyFileError::TooLong { bytes: text.len() });
    }
    let mut keys: Vec<SecretKey> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let line_number = index + 1;
        let key = parse_line(line).map_err(|problem| KeyFileError::Line { line: line_number, problem })?;
        if keys.iter().any(|known| known.key_id() == key.key_id()) {
            let problem = LineProblem::KeyIdTwice { key_id: key.key_id().clone() };
            return Err(KeyFileError::Line { line: line_number, problem });
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(KeyFileError::Empty) } else { Ok(keys) }
}

/// Writes a signing key file, wiped when dropped. Put the key that is to sign first.
pub fn write<'a>(keys: impl IntoIterator<Item = &'a SecretKey>) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(BYTES_MAX.min(4096)));
    for key in keys {
        text.push_str("ed25519 ");
        text.push_str(key.key_id().version());
        text.push(' ');
        text.push_str(&encode_unpadded(key.seed()));
        text.push('\n');
    }
    text
}

/// The longest file that is read, in bytes: some five hundred keys.
const BYTES_MAX: usize = 64 * 1024;

/// Why a signing key file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// Longer than 64 KiB.
    #[error("the signing key file has {bytes} bytes, more than {BYTES_MAX}")]
    TooLong {
        /// Length of the file.
        bytes: usize,
    },
    /// There is no key in it.
    #[error("the signing key file holds no key")]
    Empty,
    /// A line is not a key.
    #[error("line {line} of the signing key file: {problem}")]
    Line {
        /// The number of the line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: LineProblem,
    },
}

/// What is wrong with a line of a signing key file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// Not three fields. A file of one field is Synapse's format of before 2015.
    #[error("expected algorithm, version and seed, got {found} fields")]
    Fields {
        /// The number of fields.
        found: usize,
    },
    /// An algorithm other than `ed25519`.
    #[error("the algorithm is not ed25519")]
    Algorithm,
    /// The version makes no key identifier.
    #[error("the version makes no key id")]
    KeyId(#[from] InvalidKeyId),
    /// The version cannot be the name of a secret key.
    #[error(transparent)]
    Name(#[from] SecretKeyError),
    /// The seed is not 32 bytes of base64.
    #[error("the seed has {bytes} bytes of base64 instead of 32")]
    Seed {
        /// Decoded length; 0 when it is no base64.
        bytes: usize,
    },
    /// An earlier line has the same identifier.
    #[error("`{key_id}` stands in an earlier line too")]
    KeyIdTwice {
        /// The identifier.
        key_id: KeyId,
    },
}

fn parse_line(line: &str) -> Result<SecretKey, LineProblem> {
    let mut fields = line.split_whitespace();
    let (Some(algorithm), Some(version), Some(seed), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(LineProblem::Fields { found: line.split_whitespace().count() });
    };
    if algorithm != "ed25519" {
        return Err(LineProblem::Algorithm);
    }
    let key_id = KeyId::parse(&format!("ed25519:{version}"))?;
    let seed = decode_seed(seed).map_err(|bytes| LineProblem::Seed { bytes })?;
    Ok(SecretKey::new(key_id, &seed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "wdSWsTNSOmMuNA1Ej6JUyeNbiBEt5jexHmVs7mHKZVc";

    /// The file and the public key are those of matrix-media-repo's interoperability tests.
    #[test]
    fn a_file_of_synapse_is_read() {
        let keys = parse(&format!("ed25519 a_RVfN {SEED}\n")).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].key_id().as_str(), "ed25519:a_RVfN");
        assert_eq!(keys[0].verifying_key().to_base64(), "N1wtx39rXnuCsbjt3Yhrb0jkPI/zI5kphIV9ai1enW0");
    }

    #[test]
    fn empty_lines_padding_and_windows_line_ends_are_read() {
        for text in [
            format!("ed25519 a {SEED}"),
            format!("\n\ned25519 a {SEED}\n\n"),
            format!("ed25519 a {SEED}=\r\n\r\n"),
            format!("  ed25519\ta   {SEED}  "),
        ] {
            assert_eq!(parse(&text).unwrap().len(), 1, "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        let line = |line, problem| KeyFileError::Line { line, problem };
        for (text, expected) in [
            (String::new(), KeyFileError::Empty),
            ("\n \n".into(), KeyFileError::Empty),
            (SEED.into(), line(1, LineProblem::Fields { found: 1 })),
            (format!("ed25519 a {SEED} x"), line(1, LineProblem::Fields { found: 4 })),
            (format!("\nrsa a {SEED}"), line(2, LineProblem::Algorithm)),
            (format!("ed25519 a {}", SEED.get(..42).unwrap()), line(1, LineProblem::Seed { bytes: 31 })),
            (format!("ed25519 a {}AA", SEED), line(1, LineProblem::Seed { bytes: 0 })),
            ("ed25519 a !!!!".into(), line(1, LineProblem::Seed { bytes: 0 })),
            (
                format!("ed25519 a {SEED}\ned25519 a {SEED}"),
                line(2, LineProblem::KeyIdTwice { key_id: KeyId::ed25519("a").unwrap() }),
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert_eq!(error, expected, "{text:?}");
            assert!(!format!("{error:?} {error}").contains(SEED.get(..8).unwrap()));
        }
        assert!(matches!(parse(&" ".repeat(BYTES_MAX + 1)), Err(KeyFileError::TooLong { .. })));
    }
}
