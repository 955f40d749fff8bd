//! A named secret key on its way into or out of the keyring.

use std::fmt;

use freehold_signing::{KeyId, SigningKey, VerifyingKey};
use thiserror::Error;
use zeroize::Zeroizing;

/// A secret key with the identifier it is published under, as read from a key file.
///
/// It exists between a parser of [`formats`](crate::formats) and
/// [`Keyring::import`](crate::Keyring::import), and between
/// [`Keyring::export`](crate::Keyring::export) and a writer. It cannot sign, its seed cannot be
/// read, `Debug` shows the public half only, and the seed is wiped when it is dropped.
pub struct SecretKey {
    key_id: KeyId,
    verifying_key: VerifyingKey,
    seed: Zeroizing<[u8; 32]>,
}

impl SecretKey {
    /// Names a seed. The caller wipes its own copy.
    ///
    /// Versions outside `a-zA-Z0-9_` are accepted as long as every key file format can hold them:
    /// old servers have used them, and renaming a key would orphan what it signed.
    ///
    /// # Errors
    ///
    /// [`SecretKeyError`] when no key file could hold the identifier.
    pub fn new(key_id: KeyId, seed: &[u8; 32]) -> Result<Self, SecretKeyError> {
        let version = key_id.version();
        if !key_id.is_ed25519() {
            return Err(SecretKeyError::Algorithm { key_id });
        }
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretKeyError::Version { key_id });
        }
        let verifying_key = SigningKey::from_seed(seed).verifying_key().clone();
        Ok(Self { key_id, verifying_key, seed: Zeroizing::new(*seed) })
    }

    /// The identifier under which the key is published.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying_key
    }

    pub(crate) fn seed(&self) -> &[u8; 32] {
        &self.seed
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({} {:?})", self.key_id, self.verifying_key)
    }
}

/// Why a seed cannot be given a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SecretKeyError {
    /// Only Ed25519 keys sign in Matrix.
    #[error("`{key_id}` does not name an ed25519 key")]
    Algorithm {
        /// The identifier.
        key_id: KeyId,
    },
    /// The version is empty or holds something other than visible ASCII.
    #[error("the version in `{key_id}` is empty or not visible ascii")]
    Version {
        /// The identifier.
        key_id: KeyId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_secret_key_shows_the_public_half_only() {
        let key = SecretKey::new(KeyId::ed25519("a").unwrap(), &[7; 32]).unwrap();
        assert_eq!(
            format!("{key:?}"),
            "SecretKey(ed25519:a VerifyingKey(6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw))"
        );
    }

    #[test]
    fn names_that_no_key_file_can_hold_are_refused() {
        for name in ["ed25519:", "ed25519:a b", "ed25519:é"] {
            let error = SecretKey::new(KeyId::parse(name).unwrap(), &[7; 32]).unwrap_err();
            assert!(matches!(error, SecretKeyError::Version { .. }), "{name:?}");
        }
        let error = SecretKey::new(KeyId::parse("rsa:a").unwrap(), &[7; 32]).unwrap_err();
        assert!(matches!(error, SecretKeyError::Algorithm { .. }));
    }
}
