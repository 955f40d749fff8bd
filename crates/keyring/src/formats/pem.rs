//! PEM key files: `MATRIX PRIVATE KEY` of Dendrite and `MMR PRIVATE KEY` of matrix-media-repo.
//!
//! A block has a `Key-ID: ed25519:<version>` header, in the second kind also `Version: 1`, and the
//! 32-byte seed in base64. Go's encoder writes the headers in alphabetical order, an empty line and
//! padded lines of 64 characters; its decoder, and this one, do without the empty line.

use freehold_signing::{InvalidKeyId, KeyId};
use thiserror::Error;
use zeroize::Zeroizing;

use super::encoding::{decode_seed, encode_padded};
use crate::{SecretKey, SecretKeyError};

/// The server whose kind of block is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// `MATRIX PRIVATE KEY`, of Dendrite's `private_key` and `old_private_keys`.
    Dendrite,
    /// `MMR PRIVATE KEY`, of matrix-media-repo's `signingKeyPath`.
    MediaRepo,
}

/// Reads all key blocks of a file, of both kinds. Dendrite itself reads the first one only.
///
/// # Errors
///
/// [`PemError`]; also for blocks of other kinds, which somebody put there by mistake.
pub fn parse(text: &str) -> Result<Vec<SecretKey>, PemError> {
    if text.len() > BYTES_MAX {
        return Err(PemError::TooLong { bytes: text.len() });
    }
    let mut keys: Vec<SecretKey> = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let key = parse_block(line, &mut lines)?;
        if keys.iter().any(|known| known.key_id() == key.key_id()) {
            return Err(PemError::KeyIdTwice { key_id: key.key_id().clone() });
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(PemError::NoBlock) } else { Ok(keys) }
}

/// Writes one block, wiped when dropped.
pub fn write(key: &SecretKey, label: Label) -> Zeroizing<String> {
    let name = label.name();
    let version = match label {
        Label::Dendrite => "",
        Label::MediaRepo => "Version: 1\n",
    };
    Zeroizing::new(format!(
        "-----BEGIN {name}-----\nKey-ID: {}\n{version}\n{}\n-----END {name}-----\n",
        key.key_id(),
        encode_padded(key.seed()).as_str(),
    ))
}

/// The longest file that is read, in bytes.
const BYTES_MAX: usize = 64 * 1024;

/// Why a PEM file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PemError {
    /// Longer than 64 KiB.
    #[error("the pem file has {bytes} bytes, more than {BYTES_MAX}")]
    TooLong {
        /// Length of the file.
        bytes: usize,
    },
    /// There is no block in it.
    #[error("the pem file holds no block")]
    NoBlock,
    /// Text stands outside a block.
    #[error("the pem file has text outside a block")]
    OutsideBlock,
    /// A block that is no Matrix signing key.
    #[error("the pem file holds a block that is no matrix signing key")]
    OtherBlock,
    /// A block has no end, or another end than beginning.
    #[error("a block of the pem file does not end")]
    NoEnd,
    /// The `Key-ID` header is missing.
    #[error("a block of the pem file has no Key-ID header")]
    NoKeyId,
    /// The `Key-ID` header holds no key identifier.
    #[error("the Key-ID header is no key id")]
    KeyId(#[from] InvalidKeyId),
    /// The `Key-ID` header cannot be the name of a secret key.
    #[error(transparent)]
    Name(#[from] SecretKeyError),
    /// The `Version` of an `MMR PRIVATE KEY` is missing or not 1.
    #[error("the block is not of version 1")]
    Version,
    /// The body is not 32 bytes of base64.
    #[error("the seed has {bytes} bytes of base64 instead of 32")]
    Seed {
        /// Decoded length; 0 when it is no base64.
        bytes: usize,
    },
    /// Two blocks have the same identifier.
    #[error("two blocks of the pem file are called `{key_id}`")]
    KeyIdTwice {
        /// The identifier.
        key_id: KeyId,
    },
}

impl Label {
    const ALL: [Self; 2] = [Self::Dendrite, Self::MediaRepo];

    const fn name(self) -> &'static str {
        match self {
            Self::Dendrite => "MATRIX PRIVATE KEY",
            Self::MediaRepo => "MMR PRIVATE KEY",
        }
    }
}

fn parse_block<'a>(begin: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<SecretKey, PemError> {
    let label = begin
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.strip_suffix("-----"))
        .ok_or(PemError::OutsideBlock)?;
    let label = Label::ALL.into_iter().find(|known| known.name() == label).ok_or(PemError::OtherBlock)?;
    let end = format!("-----END {}-----", label.name());
    let (mut key_id, mut version, mut ended) = (None, None, false);
    let mut body = Zeroizing::new(String::with_capacity(64));
    for line in lines {
        if line == end {
            ended = true;
            break;
        }
        match line.split_once(':') {
            Some(("Key-ID", value)) => key_id = Some(value.trim()),
            Some(("Version", value)) => version = Some(value.trim()),
            Some(_) => {}
            // A body longer than this is no seed; the rest need not be kept.
            None if body.len() <= 64 => body.push_str(line.get(..line.len().min(65)).unwrap_or("!")),
            None => {}
        }
    }
    if !ended {
        return Err(PemError::NoEnd);
    }
    if label == Label::MediaRepo && version != Some("1") {
        return Err(PemError::Version);
    }
    let key_id = KeyId::parse(key_id.ok_or(PemError::NoKeyId)?)?;
    let seed = decode_seed(&body).map_err(|bytes| PemError::Seed { bytes })?;
    Ok(SecretKey::new(key_id, &seed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "1Pu3u3solToI2pTdsHA4wj05bANnzPwJoxPepw2he2s=";

    fn block(label: &str, headers: &str) -> String {
        format!("-----BEGIN {label}-----\n{headers}\n{SEED}\n-----END {label}-----\n")
    }

    /// The blocks and public keys are those of matrix-media-repo's interoperability tests.
    #[test]
    fn blocks_of_both_kinds_are_read() {
        let text = block("MATRIX PRIVATE KEY", "Key-ID: ed25519:1Pu3u3\n")
            + &block("MMR PRIVATE KEY", "Key-ID: ed25519:e5d0oC\nVersion: 1\n")
                .replace(SEED, "PJt0OaIImDJk8P/PDb4TNQHgI/1AA1C+AaQaABxAcgc=");
        let keys = parse(&text).unwrap();
        let public: Vec<_> = keys.iter().map(|key| key.verifying_key().to_base64()).collect();
        assert_eq!(
            public,
            ["uBatSEbBO6u7SNwvNwVFCD4XGaS0ikPI1PMgP5nlh3c", "TohekYXzLx7VzV8FtLQlI3XsSdPv1CjhVYY5rZmFCvU"]
        );
        assert_eq!(keys[1].key_id().as_str(), "ed25519:e5d0oC");
        assert_eq!(
            [write(&keys[0], Label::Dendrite).as_str(), &write(&keys[1], Label::MediaRepo)].concat(),
            text
        );
    }

    #[test]
    fn the_empty_line_after_the_headers_may_be_missing() {
        assert!(parse(&block("MATRIX PRIVATE KEY", "Key-ID: ed25519:c8NsuQ")).is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        let dendrite = |headers| block("MATRIX PRIVATE KEY", headers);
        let good = dendrite("Key-ID: ed25519:a\n");
        let mmr = "MMR PRIVATE KEY";
        for (text, expected) in [
            (String::new(), PemError::NoBlock),
            ("hello".into(), PemError::OutsideBlock),
            (block("PRIVATE KEY", ""), PemError::OtherBlock),
            (good.replace("END MATRIX", "END MMR"), PemError::NoEnd),
            (dendrite(""), PemError::NoKeyId),
            (dendrite("Key-ID: a\n"), PemError::KeyId(InvalidKeyId::NoColon)),
            (block(mmr, "Key-ID: ed25519:a\n"), PemError::Version),
            (block(mmr, "Key-ID: ed25519:a\nVersion: 2\n"), PemError::Version),
            (good.replace(SEED, ""), PemError::Seed { bytes: 0 }),
            (good.replace(SEED, SEED.get(..40).unwrap()), PemError::Seed { bytes: 30 }),
            (good.repeat(2), PemError::KeyIdTwice { key_id: KeyId::ed25519("a").unwrap() }),
        ] {
            let error = parse(&text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!format!("{error:?} {error}").contains(SEED.get(..8).unwrap()));
        }
    }
}
