//! Signers and key sources for the tests of this crate.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::collections::BTreeMap;

use freehold_canonical_json::{Object, Value};
use freehold_signing::{
    KeyId, KeySource, KeyValidity, PublishedKey, ServerSigner, Signature, Signer, SigningKey, VerifyingKey,
};
use ruma_common::{OwnedServerName, ServerName};

/// A signer whose key is made of one repeated byte.
pub fn signer(server: &str, version: &str, seed: u8) -> ServerSigner {
    ServerSigner::new(
        server.try_into().unwrap(),
        KeyId::ed25519(version).unwrap(),
        SigningKey::from_seed(&[seed; 32]),
    )
}

/// Published keys in memory.
#[derive(Default)]
pub struct Keys(BTreeMap<(OwnedServerName, KeyId), (VerifyingKey, KeyValidity)>);

impl Keys {
    /// The key of a signer, valid for ever.
    pub fn of(signer: &ServerSigner) -> Self {
        Self::default().with(signer)
    }

    /// One more key, valid for ever.
    pub fn with(mut self, signer: &ServerSigner) -> Self {
        let name = (signer.server_name().to_owned(), signer.key_id().clone());
        let key = signer.signing_key().verifying_key().clone();
        self.0.insert(name, (key, KeyValidity::Current { valid_until_ts: i64::MAX }));
        self
    }

    /// The same keys with another validity.
    pub fn valid(mut self, validity: KeyValidity) -> Self {
        self.0.values_mut().for_each(|key| key.1 = validity);
        self
    }
}

impl KeySource for Keys {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        let (key, validity) = self.0.get(&(server.to_owned(), key_id.clone()))?;
        Some(PublishedKey { key, validity: *validity })
    }
}

/// The bytes of a signature in an object.
pub fn signature_of(object: &Object<'_>, server: &str, key_id: &str) -> Option<Signature> {
    let all = object.get("signatures").and_then(Value::as_object)?;
    let entry = all.get(server).and_then(Value::as_object)?;
    Signature::from_base64(entry.get(key_id)?.as_str()?)
}
