//! The document in which a tenant publishes its keys: `GET /_matrix/key/v2/server`.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server>

use std::sync::Arc;

use freehold_canonical_json::Object;
use freehold_signing::{KeyId, Signature, Signer, SigningKey, VerifyingKey, sign_json};
use ruma_common::ServerName;

use crate::{
    formats::encode_unpadded, keyring::SignerError, master_key::MasterKeys, open_tenants::OpenTenant,
    tenant_keys::TenantKeys,
};

/// A signed key document, good to serve until it is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDocument {
    /// The body of the answer, canonical JSON.
    pub json: Vec<u8>,
    /// Until when remote servers may rely on it, in Unix milliseconds.
    pub valid_until_ts: i64,
    /// From this time on [`Keyring::key_document`](crate::Keyring::key_document) makes a new one:
    /// at half the lifetime, or when a key expires.
    pub renew_ts: i64,
}

/// The shortest time a served document is still valid, in milliseconds: "Originating servers should
/// avoid returning responses that expire in less than an hour".
pub(crate) const REMAINING_MIN_MS: i64 = 60 * 60 * 1000;

/// For how long a document is served at least, in milliseconds, so that questions do not turn into
/// signatures one to one.
const RENEW_MIN_MS: i64 = 5 * 60 * 1000;

impl KeyDocument {
    /// Whether the document may still be served. The lower bound is for clocks that were set back:
    /// a document from the future would be believed for too long.
    pub(crate) fn is_fresh(&self, now_ts: i64, lifetime_ms: i64) -> bool {
        now_ts < self.renew_ts && self.valid_until_ts <= now_ts.saturating_add(lifetime_ms)
    }
}

/// Makes the document of a tenant, signed with every key under `verify_keys`.
///
/// `lifetime_ms` is at least twice [`REMAINING_MIN_MS`].
pub(crate) fn make<E>(
    tenant: &OpenTenant,
    masters: &MasterKeys,
    now_ts: i64,
    lifetime_ms: i64,
) -> Result<KeyDocument, SignerError<E>> {
    let record = &tenant.record;
    let next_expiry_ts = record.next_expiry_ts(now_ts).unwrap_or(i64::MAX);
    // A document that outlives one of its keys keeps that key in use elsewhere. One that ends sooner
    // than in an hour is asked for again and again; close to its end a key stays good for requests
    // a little longer than planned.
    let shortest_ts = now_ts.saturating_add(REMAINING_MIN_MS + RENEW_MIN_MS);
    let valid_until_ts = now_ts.saturating_add(lifetime_ms).min(next_expiry_ts).max(shortest_ts);
    let half_life_ts = now_ts.saturating_add(lifetime_ms / 2);
    let last_serve_ts = valid_until_ts.saturating_sub(REMAINING_MIN_MS);
    let renew_ts = half_life_ts.min(next_expiry_ts).min(last_serve_ts);

    let mut object = publish(record, now_ts, valid_until_ts);
    for (index, key) in record.keys.iter().enumerate().filter(|(_, key)| !key.is_expired(now_ts)) {
        if let Some(signing_key) = tenant.signing_key(index, masters)? {
            sign_json(&mut object, &KeyOf { record, key_id: &key.key_id, signing_key })?;
        }
    }
    Ok(KeyDocument { json: object.to_canonical_vec(), valid_until_ts, renew_ts })
}

fn publish(record: &TenantKeys, now_ts: i64, valid_until_ts: i64) -> Object<'static> {
    let (mut current, mut old) = (Object::new(), Object::new());
    for key in &record.keys {
        let mut published: Object<'static> =
            [("key", encode_unpadded(&key.key).to_string())].into_iter().collect();
        match key.expired_ts {
            Some(expired_ts) if expired_ts <= now_ts => {
                published.insert("expired_ts", expired_ts);
                old.insert(key.key_id.as_str().to_owned(), published);
            }
            _ => {
                current.insert(key.key_id.as_str().to_owned(), published);
            }
        }
    }
    let mut object = Object::new();
    object.insert("server_name", record.tenant.as_str().to_owned());
    object.insert("verify_keys", current);
    object.insert("old_verify_keys", old);
    object.insert("valid_until_ts", valid_until_ts);
    object
}

/// One key of a record as a signer, for the document only.
struct KeyOf<'a> {
    record: &'a TenantKeys,
    key_id: &'a KeyId,
    signing_key: Arc<SigningKey>,
}

impl Signer for KeyOf<'_> {
    fn server_name(&self) -> &ServerName {
        &self.record.tenant
    }

    fn key_id(&self) -> &KeyId {
        self.key_id
    }

    fn verifying_key(&self) -> &VerifyingKey {
        self.signing_key.verifying_key()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        self.signing_key.sign(message)
    }
}
