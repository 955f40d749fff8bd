//! An Ed25519 signature.

use std::fmt;

use crate::encoding;

/// The 64 bytes of an Ed25519 signature: the point R, then the scalar S.
///
/// Nothing is known about the bytes until [`VerifyingKey::verify`](crate::VerifyingKey::verify)
/// has accepted them for a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; Self::BYTES]);

impl Signature {
    /// Length of a signature in bytes.
    pub const BYTES: usize = 64;

    /// Wraps the bytes of a signature.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads base64, standard or URL-safe, padded or not. `None` unless it is 64 bytes.
    pub fn from_base64(text: &str) -> Option<Self> {
        encoding::decode(text).map(Self)
    }

    /// The bytes of the signature.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Writes [unpadded base64](https://spec.matrix.org/v1.19/appendices/#unpadded-base64), as it
    /// stands in JSON and in the `X-Matrix` header.
    pub fn to_base64(&self) -> String {
        encoding::encode(&self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.to_base64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_in_base64() {
        let told = format!("{:?}", Signature::from_bytes([0; Signature::BYTES]));
        assert!(told.contains(&"A".repeat(86)), "{told}");
    }
}
