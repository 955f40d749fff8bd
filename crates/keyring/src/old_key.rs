//! A key that a server no longer signs with, on its way into or out of the keyring.

use freehold_signing::{KeyId, VerifyingKey};

/// A public key a server used to sign with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldKey {
    /// The identifier it was published under.
    pub key_id: KeyId,
    /// The key.
    pub key: VerifyingKey,
    /// When the server stopped to use it, in Unix milliseconds.
    pub expired_ts: i64,
}
