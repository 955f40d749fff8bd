//! The public half of a key pair, and the verdict on a signature.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

use curve25519_dalek::EdwardsPoint;

use crate::{Signature, encoding};

/// An Ed25519 public key that may be used to verify.
///
/// A value of this type has passed the checks libsodium makes on a key, once, when it was read:
/// canonical encoding, on the curve, not of small order. So [`verify`](Self::verify) costs what the
/// arithmetic costs.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Length of a public key in bytes.
    pub const BYTES: usize = 32;

    /// Reads a public key.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] for the keys with which libsodium verifies nothing.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Result<Self, InvalidKey> {
        if !is_canonical(bytes) {
            return Err(InvalidKey::NotCanonical);
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| InvalidKey::NotOnTheCurve)?;
        if key.is_weak() {
            return Err(InvalidKey::SmallOrder);
        }
        Ok(Self(key))
    }

    /// Reads a public key in base64, standard or URL-safe, padded or not.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Base64`] unless it is 32 bytes, and those of [`from_bytes`](Self::from_bytes).
    pub fn from_base64(text: &str) -> Result<Self, InvalidKey> {
        Self::from_bytes(&encoding::decode(text).ok_or(InvalidKey::Base64)?)
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        self.0.as_bytes()
    }

    /// Writes [unpadded base64](https://spec.matrix.org/v1.19/appendices/#unpadded-base64), as keys
    /// are published.
    pub fn to_base64(&self) -> String {
        encoding::encode(self.as_bytes())
    }

    /// Checks that `signature` is this key's signature of exactly these bytes.
    ///
    /// One signature at a time and without the cofactor: S is below the group order, R is not of
    /// small order, and the bytes of R equal the bytes of `S·B − H(R, A, M)·A`. This is the verdict
    /// of libsodium; the table in this crate's `tests/` holds it to that.
    ///
    /// # Errors
    ///
    /// [`WrongSignature`] for every other signature; why is not said.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), WrongSignature> {
        let bytes = signature.as_bytes();
        if is_small_order_r(bytes) {
            return Err(WrongSignature);
        }
        let signature = ed25519_dalek::Signature::from_bytes(bytes);
        ed25519_dalek::Verifier::verify(&self.0, message, &signature).map_err(|_| WrongSignature)
    }

    /// The point of the curve that the key is.
    pub(crate) fn point(&self) -> EdwardsPoint {
        self.0.to_edwards()
    }

    /// The public half of a secret key, which is never of small order.
    pub(crate) fn of(secret: &ed25519_dalek::SigningKey) -> Self {
        Self(secret.verifying_key())
    }
}

impl PartialOrd for VerifyingKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VerifyingKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for VerifyingKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.to_base64())
    }
}

/// Why bytes are no usable public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// Not base64 of 32 bytes.
    #[error("a public key is base64 of 32 bytes")]
    Base64,
    /// The y coordinate is not below 2^255 − 19.
    #[error("the public key is not canonically encoded")]
    NotCanonical,
    /// No point of the curve has this encoding.
    #[error("the public key is no point of the curve")]
    NotOnTheCurve,
    /// One of the eight points whose signatures anybody can make.
    #[error("the public key is of small order")]
    SmallOrder,
}

/// The signature is not one of this key on this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match")]
pub struct WrongSignature;

/// Whether y, the encoding without its sign bit, is below p = 2^255 − 19.
fn is_canonical(encoding: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = encoding;
    let y_of_ones = high & 0x7f == 0x7f && middle.iter().all(|byte| *byte == 0xff);
    // p is 0xed, thirty times 0xff, 0x7f.
    !(y_of_ones && *low >= 0xed)
}

/// Whether R is one of the encodings of small order libsodium refuses, whatever its sign bit.
pub(crate) fn is_small_order_r(signature: &[u8; Signature::BYTES]) -> bool {
    let Some((r, _)) = signature.split_first_chunk::<32>() else {
        return true;
    };
    SMALL_ORDER_Y.iter().any(|y| same_y(r, y))
}

/// Compares encodings without their sign bits.
fn same_y(encoding: &[u8; 32], y: &[u8; 32]) -> bool {
    let [low @ .., high] = encoding;
    let [y_low @ .., y_high] = y;
    high & 0x7f == *y_high && low == y_low
}

/// The y coordinates of the eight points of small order: 0 (order 4), 1 (order 1), −1 (order 2) and
/// two of order 8. Encodings at or above p never equal a computed R, so they need no row here.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut y = [0; 32];
        y[0] = 1;
        y
    },
    {
        let mut y = [0xff; 32];
        y[0] = 0xec;
        y[31] = 0x7f;
        y
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    #[test]
    fn keys_are_told_apart_by_their_hash_and_their_debug_form() {
        // The keys of RFC 8032, section 7.1, tests 1 and 2.
        let one = VerifyingKey::from_base64("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let other = VerifyingKey::from_base64("PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw").unwrap();
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        assert_eq!(hasher.hash_one(&one), hasher.hash_one(one.clone()));
        assert_ne!(hasher.hash_one(&one), hasher.hash_one(&other));
        assert_eq!(format!("{one:?}"), "VerifyingKey(11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo)");
    }

    #[test]
    fn only_y_from_p_on_is_not_canonical() {
        let encoding = |low, middle, high| {
            let mut bytes = [middle; 32];
            bytes[0] = low;
            bytes[31] = high;
            bytes
        };
        for (bytes, canonical) in [
            (encoding(0xec, 0xff, 0x7f), true),
            (encoding(0xed, 0xff, 0x7f), false),
            (encoding(0xff, 0xff, 0xff), false),
            (encoding(0xed, 0xff, 0x7e), true),
            (encoding(0xff, 0xff, 0xfe), true),
            (encoding(0xed, 0xfe, 0x7f), true),
            (encoding(0xff, 0x00, 0xff), true),
        ] {
            let refused = VerifyingKey::from_bytes(&bytes) == Err(InvalidKey::NotCanonical);
            assert_eq!(refused, !canonical, "{bytes:x?}");
        }
        // A key pair's, from the seed 429 in little-endian order: its first and last bytes are those of p.
        assert!(VerifyingKey::from_base64("7Uw6CiAtRijSSRzu0emH4fY4y2pWd4snJFUTezNxKH8").is_ok());
    }
}
