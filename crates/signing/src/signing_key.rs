//! The secret half of a key pair.

use std::fmt;

use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use crate::{Signature, VerifyingKey, encoding};

/// An Ed25519 secret key. It signs; it is not handed out.
///
/// There is no way to get the secret back, to serialise it, or to see it in `Debug`. The memory is
/// wiped when the key is dropped.
pub struct SigningKey {
    secret: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// Length of a seed in bytes.
    pub const SEED_BYTES: usize = 32;

    /// Makes the key pair of a 32-byte seed (the "private key" of RFC 8032).
    ///
    /// The caller wipes its own copy of the seed. A seed must come from the operating system's
    /// generator; whether it is a good one cannot be checked here.
    pub fn from_seed(seed: &[u8; Self::SEED_BYTES]) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = VerifyingKey::of(&secret);
        Self { secret, public }
    }

    /// Makes the key pair of a seed in base64, as homeservers keep it in their key files.
    ///
    /// `None` unless it is 32 bytes. The error says nothing about the text, which is a secret.
    pub fn from_base64_seed(text: &str) -> Option<Self> {
        let mut seed = Zeroizing::new([0; Self::SEED_BYTES]);
        encoding::decode_into(text, &mut seed).then(|| Self::from_seed(&seed))
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs bytes exactly as they are.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(self.secret.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_secret_key_reveals_nothing() {
        let key = SigningKey::from_seed(&[7; 32]);
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
        assert_eq!(format!("{key:#?}"), "SigningKey(..)");
    }

    #[test]
    fn secret_keys_are_wiped_on_drop() {
        fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        wiped(&SigningKey::from_seed(&[7; 32]).secret);
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn the_first_vector_of_rfc_8032_holds() {
        let key = SigningKey::from_base64_seed("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        let key = key.unwrap();
        assert_eq!(key.verifying_key().to_base64(), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert!(key.verifying_key().verify(b"", &key.sign(b"")).is_ok());
    }

    #[test]
    fn a_seed_of_another_length_is_no_key() {
        for text in ["", "AAAA", &"A".repeat(42), &"A".repeat(44)] {
            assert!(SigningKey::from_base64_seed(text).is_none(), "{text}");
        }
    }
}
