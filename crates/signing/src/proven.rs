//! Signatures whose equation is known to hold, and need not be computed again.

use crate::{Signature, Signer, VerifyingKey};

/// That the equation of Ed25519 holds for a key, certain bytes and a signature: the signature was made here with the secret
/// half of the key, or the equation was computed.
///
/// Whoever verifies a signature asks whether that equation holds. For the signature that [`Signer::sign`] returned, its own public
/// key and the bytes it was given, that is how the signature was computed: the answer is known to be yes.
/// So this value stands for that one computation, and for nothing else. Which keys the server
/// publishes under which name, whether they are good for the time of the event, whether every
/// signature of the server holds and whether there is one: all of that is asked as it is of an event
/// from anywhere, and if the published key is not the very key, or the signature in the
/// event not the very one, the equation is computed.
///
/// It belongs to the bytes that were signed, so it is kept only beside the event they are of, has no
/// public constructor, and cannot be read from anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    key: [u8; VerifyingKey::BYTES],
    signature: Signature,
}

impl Proven {
    /// Signs bytes and notes that it was done here.
    pub(crate) fn by(signer: &impl Signer, message: &[u8]) -> (Signature, Self) {
        let signature = signer.sign(message);
        let proven = Proven::computed(signer.verifying_key(), &signature);
        (signature, proven)
    }

    /// The equation was computed, and holds.
    pub(crate) fn computed(key: &VerifyingKey, signature: &Signature) -> Self {
        Self { key: *key.as_bytes(), signature: *signature }
    }

    /// Whether it is of this signature and this key.
    pub(crate) fn is(&self, key: &VerifyingKey, signature: &Signature) -> bool {
        self.key == *key.as_bytes() && self.signature == *signature
    }
}
