//! The key pair of the Conduit family: `<version> 0xFF <PKCS#8 DER>`.
//!
//! Conduit, conduwuit, continuwuity and tuwunel keep it in the database, under `keypair` of the
//! table `global`. The DER may hold 0xFF, so the value is split at the first one only; the version
//! is text and cannot hold any. The private key is PKCS#8 version 1 (RFC 5208, no public key) or
//! version 2 (RFC 5958), and of the latter also the variant of older `ring` releases, which wrap
//! the public key explicitly.

use freehold_signing::{InvalidKeyId, KeyId};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{SecretKey, SecretKeyError};

/// Reads the value of `keypair`.
///
/// # Errors
///
/// [`ConduitError`]. tuwunel deletes a key pair that does not parse and makes a new one; never do
/// that.
pub fn parse(value: &[u8]) -> Result<SecretKey, ConduitError> {
    if value.len() > BYTES_MAX {
        return Err(ConduitError::TooLong { bytes: value.len() });
    }
    let mut parts = value.splitn(2, |byte| *byte == 0xff);
    let (Some(version), Some(der)) = (parts.next(), parts.next()) else {
        return Err(ConduitError::NoSeparator);
    };
    let version = str::from_utf8(version).map_err(|_| ConduitError::VersionNotText)?;
    let key_id = KeyId::parse(&format!("ed25519:{version}"))?;
    let (seed, public) = parse_pkcs8(der).ok_or(ConduitError::Pkcs8)?;
    let key = SecretKey::new(key_id, &seed)?;
    match public {
        Some(public) if public != key.verifying_key().as_bytes() => Err(ConduitError::OtherPublicKey),
        _ => Ok(key),
    }
}

/// Writes a value of `keypair` with PKCS#8 version 2, as the family does. Wiped when dropped.
pub fn write(key: &SecretKey) -> Zeroizing<Vec<u8>> {
    let version = key.key_id().version().as_bytes();
    let parts: [&[u8]; 7] =
        [version, &[0xff], V2, ED25519, key.seed(), PUBLIC_IMPLICIT, key.verifying_key().as_bytes()];
    // Grown only once, so that no copy of the seed stays behind.
    let mut value = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        value.extend_from_slice(part);
    }
    value
}

/// The longest value that is read, in bytes.
const BYTES_MAX: usize = 1024;

/// Why a key pair of the Conduit family cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConduitError {
    /// Longer than 1 KiB.
    #[error("the key pair has {bytes} bytes, more than {BYTES_MAX}")]
    TooLong {
        /// Length of the value.
        bytes: usize,
    },
    /// There is no 0xFF in it.
    #[error("the key pair has no separator")]
    NoSeparator,
    /// What precedes the separator is not UTF-8.
    #[error("the version of the key pair is no text")]
    VersionNotText,
    /// The version makes no key identifier.
    #[error("the version of the key pair makes no key id")]
    KeyId(#[from] InvalidKeyId),
    /// The version cannot be the name of a secret key.
    #[error(transparent)]
    Name(#[from] SecretKeyError),
    /// What follows the separator is no PKCS#8 Ed25519 private key.
    #[error("the key pair holds no pkcs#8 ed25519 private key")]
    Pkcs8,
    /// The public key in the document is not that of the private key.
    #[error("the public key of the key pair is not that of its private key")]
    OtherPublicKey,
}

type Pkcs8<'a> = (Zeroizing<[u8; 32]>, Option<&'a [u8]>);

/// An Ed25519 key has few DER encodings; each is compared as a whole, so that there is no length
/// to get wrong.
fn parse_pkcs8(der: &[u8]) -> Option<Pkcs8<'_>> {
    let split = |version: &[u8]| der.strip_prefix(version)?.strip_prefix(ED25519)?.split_first_chunk::<32>();
    let (seed, public) = if let Some((seed, rest)) = split(V1) {
        (seed, rest.is_empty().then_some(None)?)
    } else if let Some((seed, rest)) = split(V2) {
        (seed, Some(rest.strip_prefix(PUBLIC_IMPLICIT)?))
    } else {
        let (seed, rest) = split(V2_RING)?;
        (seed, Some(rest.strip_prefix(PUBLIC_EXPLICIT)?))
    };
    Some((Zeroizing::new(*seed), public))
}

/// `SEQUENCE` of 46 bytes, `INTEGER` 0.
const V1: &[u8] = &[0x30, 0x2e, 0x02, 0x01, 0x00];
/// `SEQUENCE` of 81 bytes, `INTEGER` 1.
const V2: &[u8] = &[0x30, 0x51, 0x02, 0x01, 0x01];
/// `SEQUENCE` of 83 bytes, `INTEGER` 1.
const V2_RING: &[u8] = &[0x30, 0x53, 0x02, 0x01, 0x01];
/// `SEQUENCE { OID 1.3.101.112 }`, `OCTET STRING` of an `OCTET STRING` of 32 bytes.
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// `[1] IMPLICIT BIT STRING` of 32 bytes, no unused bits.
const PUBLIC_IMPLICIT: &[u8] = &[0x81, 0x21, 0x00];
/// `[1]` with a `BIT STRING` of 32 bytes in it.
const PUBLIC_EXPLICIT: &[u8] = &[0xa1, 0x23, 0x03, 0x21, 0x00];

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        // The seed holds 0xFF, so that splitting at the last one would fail.
        let seed: [u8; 32] = std::array::from_fn(|index| 0xff ^ (index as u8).wrapping_mul(37));
        SecretKey::new(KeyId::ed25519("Hx0yVb2T").unwrap(), &seed).unwrap()
    }

    fn value(version: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        [version, &[0xff], &parts.concat()].concat()
    }

    #[test]
    fn all_three_encodings_are_read() {
        let key = key();
        let public = key.verifying_key().as_bytes();
        for parts in [
            vec![V1, ED25519, key.seed()],
            vec![V2, ED25519, key.seed(), PUBLIC_IMPLICIT, public],
            vec![V2_RING, ED25519, key.seed(), PUBLIC_EXPLICIT, public],
        ] {
            let der = parts.concat();
            assert_eq!(usize::from(der[1]), der.len() - 2, "the outer length is right");
            let read = parse(&value(b"Hx0yVb2T", &parts)).unwrap();
            assert_eq!((read.key_id(), read.verifying_key()), (key.key_id(), key.verifying_key()));
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let read = parse(&write(&key())).unwrap();
        assert_eq!(read.seed(), key().seed());
        assert_eq!(read.key_id(), key().key_id());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let key = key();
        let public = key.verifying_key().as_bytes();
        let whole: &[&[u8]] = &[V2, ED25519, key.seed(), PUBLIC_IMPLICIT, public];
        let mut longer = value(b"a", whole);
        longer.push(0);
        let other: &[&[u8]] = &[V2, ED25519, key.seed(), PUBLIC_IMPLICIT, &[3; 32]];
        for (bytes, expected) in [
            (b"no separator".to_vec(), ConduitError::NoSeparator),
            (value(&[0xc3], whole), ConduitError::VersionNotText),
            (value(b"a", &[]), ConduitError::Pkcs8),
            (value(b"a", &[V1, ED25519, &[1; 31]]), ConduitError::Pkcs8),
            (value(b"a", &[V1, ED25519, &[1; 33]]), ConduitError::Pkcs8),
            (longer, ConduitError::OtherPublicKey),
            (value(b"a", other), ConduitError::OtherPublicKey),
            (vec![b'a'; BYTES_MAX + 1], ConduitError::TooLong { bytes: BYTES_MAX + 1 }),
        ] {
            assert_eq!(parse(&bytes).unwrap_err(), expected);
        }
        assert!(matches!(parse(&value(b"", whole)), Err(ConduitError::Name(_))));
    }
}
