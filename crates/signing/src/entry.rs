//! One server's entry under `signatures`: which of its signatures count, and whether they hold.

use std::borrow::Cow;

use ruma_common::ServerName;

use crate::{
    KeyId, KeySource, KeyValidity, Signature, SignatureError, VerifyingKey, WrongSignature, proven::Proven,
};

/// A server's entry under `signatures`: key ids, and the signatures where they are strings.
pub(crate) trait Entry<'e>: Iterator<Item = (Cow<'e, str>, Option<Cow<'e, str>>)> {}

impl<'e, I: Iterator<Item = (Cow<'e, str>, Option<Cow<'e, str>>)>> Entry<'e> for I {}

/// Who must have signed, the bytes that must be signed, and which keys will do.
pub(crate) struct Check<'c, K, V> {
    pub(crate) server: &'c ServerName,
    pub(crate) message: &'c [u8],
    pub(crate) keys: &'c K,
    /// Whether a key of this validity is good for the time in question.
    pub(crate) valid: V,
    /// Signatures of the same bytes of which it is known that they hold.
    pub(crate) proven: &'c [Proven],
}

impl<'c, K: KeySource, V: Fn(KeyValidity) -> bool> Check<'c, K, V> {
    /// Checks an entry as
    /// [Checking for a signature](https://spec.matrix.org/v1.19/appendices/#checking-for-a-signature)
    /// and, for events,
    /// [Validating hashes and signatures](https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events)
    /// say: unknown and expired keys are skipped, every other signature must hold, and there must
    /// be one.
    pub(crate) fn entry<'e>(&self, entry: Option<impl Entry<'e>>) -> Result<(), SignatureError> {
        // 1. Checks if the `signatures` member contains an entry with the name of the entity.
        let entry = entry.ok_or_else(|| SignatureError::NotSigned { server: self.name() })?;
        let mut verified = false;
        let (mut unknown, mut out_of_time) = (Vec::new(), Vec::new());
        for (key_id, signature) in entry {
            // 2. Removes any signing key identifiers with algorithms it doesn't understand.
            let Some(key_id) = KeyId::parse(&key_id).ok().filter(KeyId::is_ed25519) else {
                continue;
            };
            // 3. Looks up verification keys for the remaining signing key identifiers.
            match self.keys.key(self.server, &key_id) {
                None => unknown.push(key_id),
                Some(key) if !(self.valid)(key.validity) => out_of_time.push(key_id),
                Some(key) => {
                    // 4. Decodes the base64 encoded signature bytes.
                    let Some(signature) = signature.as_deref().and_then(Signature::from_base64) else {
                        return Err(SignatureError::Malformed { server: self.name(), key_id });
                    };
                    // 7. Checks the signature bytes against the encoded object.
                    if self.verify(key.key, &signature).is_err() {
                        return Err(SignatureError::Wrong { server: self.name(), key_id });
                    }
                    verified = true;
                }
            }
        }
        if verified { Ok(()) } else { Err(self.nothing_to_check(unknown, out_of_time)) }
    }

    /// The signatures of an entry that are to hold, with their keys, as far as they can be read.
    pub(crate) fn named<'e>(&self, entry: impl Entry<'e>) -> Vec<(&'c VerifyingKey, Signature)> {
        let looked_at = |(key_id, signature): (Cow<'e, str>, Option<Cow<'e, str>>)| {
            let key_id = KeyId::parse(&key_id).ok().filter(KeyId::is_ed25519)?;
            let key = self.keys.key(self.server, &key_id).filter(|key| (self.valid)(key.validity))?;
            Some((key.key, Signature::from_base64(&signature?)?))
        };
        entry.filter_map(looked_at).collect()
    }

    /// Whether a signature is that of a key: known already, or computed.
    fn verify(&self, key: &VerifyingKey, signature: &Signature) -> Result<(), WrongSignature> {
        if self.proven.iter().any(|proven| proven.is(key, signature)) {
            return Ok(());
        }
        match self.keys.prepared() {
            Some(prepared) => prepared.verify(key, self.message, signature),
            None => key.verify(self.message, signature),
        }
    }

    fn nothing_to_check(&self, unknown: Vec<KeyId>, out_of_time: Vec<KeyId>) -> SignatureError {
        if unknown.is_empty() && out_of_time.is_empty() {
            SignatureError::NoKnownAlgorithm { server: self.name() }
        } else {
            SignatureError::NoUsableKey { server: self.name(), unknown, out_of_time }
        }
    }

    fn name(&self) -> String {
        self.server.as_str().to_owned()
    }
}
