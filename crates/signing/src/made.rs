//! Signatures that were made in this process, and why they need not be computed again.

use crate::{Signature, Signer, VerifyingKey};

/// That the signature of certain bytes was made here with the secret half of a key.
///
/// Whoever verifies a signature asks whether the equation of Ed25519 holds for a public key, the
/// bytes and the signature. For the signature that [`Signer::sign`] returned, its own public key and
/// the bytes it was given, that is how the signature was computed: the answer is known to be yes.
/// So this value stands for that one computation, and for nothing else. Which keys the server
/// publishes under which name, whether they are good for the time of the event, whether every
/// signature of the server holds and whether there is one: all of that is asked as it is of an event
/// from anywhere, and if the published key is not the very key that signed, or the signature in the
/// event not the very one that was made, the equation is computed.
///
/// It belongs to the bytes that were signed, so it is kept only beside the event they are of, has no
/// public constructor, and cannot be read from anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    key: [u8; VerifyingKey::BYTES],
    signature: Signature,
}

impl Made {
    /// Signs bytes and notes that it was done here.
    pub(crate) fn by(signer: &impl Signer, message: &[u8]) -> (Signature, Self) {
        let signature = signer.sign(message);
        let made = Self { key: *signer.verifying_key().as_bytes(), signature };
        (signature, made)
    }

    /// Whether it is this signature, made with this key.
    pub(crate) fn is(&self, key: &VerifyingKey, signature: &Signature) -> bool {
        self.key == *key.as_bytes() && self.signature == *signature
    }
}
