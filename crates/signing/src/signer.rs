//! Who signs: a server name, a key id and the power to sign.

use std::fmt;

use ruma_common::{OwnedServerName, ServerName};

use crate::{KeyId, Signature, SigningKey, VerifyingKey};

/// Something that signs in the name of one server with one key.
///
/// The caller never sees the secret. Everything this crate signs, it signs through this trait, so a
/// keyring may keep its keys sealed, or in another process.
pub trait Signer {
    /// The server in whose name is signed.
    fn server_name(&self) -> &ServerName;

    /// The identifier under which that server publishes the key.
    fn key_id(&self) -> &KeyId;

    /// The public half of the key, with which everything holds that [`sign`](Self::sign) returns.
    fn verifying_key(&self) -> &VerifyingKey;

    /// Signs bytes exactly as they are.
    fn sign(&self, message: &[u8]) -> Signature;
}

impl<S: Signer + ?Sized> Signer for &S {
    fn server_name(&self) -> &ServerName {
        (**self).server_name()
    }

    fn key_id(&self) -> &KeyId {
        (**self).key_id()
    }

    fn verifying_key(&self) -> &VerifyingKey {
        (**self).verifying_key()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        (**self).sign(message)
    }
}

/// A secret key with the name it signs under: the plain [`Signer`].
pub struct ServerSigner {
    server_name: OwnedServerName,
    key_id: KeyId,
    key: SigningKey,
}

impl ServerSigner {
    /// Puts a key under a name.
    pub fn new(server_name: OwnedServerName, key_id: KeyId, key: SigningKey) -> Self {
        Self { server_name, key_id, key }
    }

    /// The secret key, which signs but cannot be read.
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }
}

impl Signer for ServerSigner {
    fn server_name(&self) -> &ServerName {
        &self.server_name
    }

    fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    fn verifying_key(&self) -> &VerifyingKey {
        self.key.verifying_key()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        self.key.sign(message)
    }
}

impl fmt::Debug for ServerSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerSigner({} {})", self.server_name, self.key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_signer_shows_names_only() {
        let signer = ServerSigner::new(
            ServerName::parse("example.org").unwrap(),
            KeyId::ed25519("1").unwrap(),
            SigningKey::from_seed(&[9; 32]),
        );
        assert_eq!(format!("{signer:?}"), "ServerSigner(example.org ed25519:1)");
    }
}
