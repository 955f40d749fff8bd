//! The key document of another server, checked.

use std::collections::BTreeMap;

use freehold_canonical_json::{Limits, Object, ParseError, Value, parse};
use freehold_signing::{
    KeyId, KeySource, KeyValidity, PublishedKey, SignatureError, VerifyingKey, verify_json,
};
use ruma_common::{OwnedServerName, ServerName};
use thiserror::Error;

use super::policy::FetchPolicy;
use crate::predictable;

/// A key document that its server has signed with the keys in it.
///
/// This says that whoever made the document has the keys, not that they are the server's: that is
/// for the channel to say (TLS to the server itself, or the signature of a notary).
///
/// <https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKeys {
    /// Whose keys they are.
    pub server_name: OwnedServerName,
    /// The keys in use.
    pub verify_keys: BTreeMap<KeyId, VerifyingKey>,
    /// The keys no longer in use, and since when.
    pub old_verify_keys: BTreeMap<KeyId, (VerifyingKey, i64)>,
    /// Until when the list is good, as the server says.
    pub valid_until_ts: i64,
    /// The names of keys that were left out, because they are malformed, of another algorithm, or
    /// known to the public.
    pub skipped: Vec<String>,
    object: Object<'static>,
}

impl ServerKeys {
    /// Reads and checks a document.
    ///
    /// A key that cannot be used is skipped, so that one bad entry does not silence a server. The
    /// numbers of the document are read leniently, as the reference implementation does.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]; the server, or whoever answered for it, is at fault.
    pub fn parse(json: &[u8]) -> Result<Self, DocumentError> {
        let limits = Limits { bytes: FetchPolicy::DOCUMENT_BYTES_MAX, depth: 16, ..Limits::RELAXED };
        let value = parse(json, &limits)?;
        Self::from_object(value.into_owned().into_object().ok_or(DocumentError::NotAnObject)?)
    }

    /// Checks a document that was part of another one.
    pub(crate) fn from_object(object: Object<'static>) -> Result<Self, DocumentError> {
        let server_name = object.get("server_name").and_then(Value::as_str);
        let server_name = server_name.and_then(|name| ServerName::parse(name).ok());
        let server_name = server_name.ok_or(DocumentError::Field { name: "server_name" })?;
        let valid_until_ts = object.get("valid_until_ts").and_then(Value::as_i64);
        let valid_until_ts = valid_until_ts.ok_or(DocumentError::Field { name: "valid_until_ts" })?;
        let mut skipped = Vec::new();
        let current = entries(&object, "verify_keys")?.ok_or(DocumentError::Field { name: "verify_keys" })?;
        let mut verify_keys = BTreeMap::new();
        for (name, entry) in current {
            match usable_key(name, entry) {
                Some((key_id, key)) => drop(verify_keys.insert(key_id, key)),
                None => skipped.push(name.to_owned()),
            }
        }
        let mut old_verify_keys = BTreeMap::new();
        for (name, entry) in entries(&object, "old_verify_keys")?.into_iter().flatten() {
            let expired_ts = entry.as_object().and_then(|entry| entry.get("expired_ts")?.as_i64());
            match usable_key(name, entry).zip(expired_ts) {
                // A key that is in use counts as such.
                Some(((key_id, _), _)) if verify_keys.contains_key(&key_id) => skipped.push(name.to_owned()),
                Some(((key_id, key), expired_ts)) => {
                    old_verify_keys.insert(key_id, (key, expired_ts));
                }
                None => skipped.push(name.to_owned()),
            }
        }
        let keys = Self { server_name, verify_keys, old_verify_keys, valid_until_ts, skipped, object };
        // At least one key in use has signed, and no signature of one is wrong.
        verify_json(&keys.object, &keys.server_name, &keys)?;
        Ok(keys)
    }

    /// The document with all its signatures.
    pub(crate) fn object(&self) -> &Object<'static> {
        &self.object
    }

    /// The document with the signatures of its server, without those of notaries.
    pub(crate) fn own_json(&self) -> Vec<u8> {
        let mut object = self.object.clone();
        if let Some(signatures) = object.get_mut("signatures").and_then(Value::as_object_mut) {
            signatures.retain(|server, _| server == self.server_name.as_str());
        }
        object.to_canonical_vec()
    }
}

/// The keys in use, for the check of the document's own signatures.
impl KeySource for ServerKeys {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        let key = self.verify_keys.get(key_id).filter(|_| *server == *self.server_name)?;
        Some(PublishedKey { key, validity: KeyValidity::Current { valid_until_ts: self.valid_until_ts } })
    }
}

/// Why a key document is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// No JSON, or longer than [`FetchPolicy::DOCUMENT_BYTES_MAX`].
    #[error("the key document cannot be read: {0}")]
    Json(#[from] ParseError),
    /// JSON, but no object.
    #[error("the key document is no object")]
    NotAnObject,
    /// A member is missing or of the wrong type.
    #[error("`{name}` of the key document is missing or malformed")]
    Field {
        /// The member.
        name: &'static str,
    },
    /// More keys than are remembered of a server.
    #[error("the key document has {count} keys under `{name}`")]
    TooManyKeys {
        /// The member.
        name: &'static str,
        /// The number of keys.
        count: usize,
    },
    /// The document is about another server than the one asked.
    #[error("the key document is about `{server_name}`")]
    OtherServer {
        /// The server it is about.
        server_name: OwnedServerName,
    },
    /// The server has not signed it, or a signature is wrong.
    #[error("the key document is not signed: {0}")]
    Signature(#[from] SignatureError),
}

type Entries<'o> = freehold_canonical_json::Iter<'o, 'static>;

fn entries<'o>(
    object: &'o Object<'static>,
    name: &'static str,
) -> Result<Option<Entries<'o>>, DocumentError> {
    let Some(value) = object.get(name) else { return Ok(None) };
    let entries = value.as_object().ok_or(DocumentError::Field { name })?;
    match entries.len() {
        count if count > FetchPolicy::KEYS_PER_SERVER_MAX => Err(DocumentError::TooManyKeys { name, count }),
        _ => Ok(Some(entries.iter())),
    }
}

fn usable_key(name: &str, entry: &Value<'_>) -> Option<(KeyId, VerifyingKey)> {
    let key_id = KeyId::parse(name).ok().filter(KeyId::is_ed25519)?;
    let key = VerifyingKey::from_base64(entry.as_object()?.get("key")?.as_str()?).ok()?;
    predictable::check_public_key(key.as_bytes()).ok()?;
    Some((key_id, key))
}
