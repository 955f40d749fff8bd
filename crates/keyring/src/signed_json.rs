//! The bytes that signatures on JSON cover, and where the signatures stand.
//!
//! <https://spec.matrix.org/v1.19/appendices/#signing-json>

use freehold_canonical_json::{Object, Value};
use freehold_signing::{KeyId, Signature, Signer};
use ruma_common::ServerName;

/// What is signed: the object without `signatures` and `unsigned`, in canonical form.
pub(crate) fn signed_bytes(object: &Object<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    object.write_canonical_if(|key| key != "signatures" && key != "unsigned", &mut bytes);
    bytes
}

/// Adds a signature beside those that are there.
pub(crate) fn sign(object: &mut Object<'_>, signer: &impl Signer) {
    let signature = signer.sign(&signed_bytes(object));
    if object.get("signatures").is_none_or(|value| value.as_object().is_none()) {
        object.insert("signatures", Object::new());
    }
    let server = signer.server_name().as_str();
    let Some(servers) = object.get_mut("signatures").and_then(Value::as_object_mut) else { return };
    if servers.get(server).is_none_or(|value| value.as_object().is_none()) {
        servers.insert(server.to_owned(), Object::new());
    }
    let Some(keys) = servers.get_mut(server).and_then(Value::as_object_mut) else { return };
    keys.insert(signer.key_id().as_str().to_owned(), signature.to_base64());
}

/// The Ed25519 signatures of a server, `None` in place of one that is malformed.
pub(crate) fn signatures_of<'o>(
    object: &'o Object<'_>,
    server: &ServerName,
) -> impl Iterator<Item = (KeyId, Option<Signature>)> + 'o {
    let servers = object.get("signatures").and_then(Value::as_object);
    let keys = servers.and_then(|servers| servers.get(server.as_str())).and_then(Value::as_object);
    keys.into_iter().flat_map(Object::iter).filter_map(|(key_id, value)| {
        let key_id = KeyId::parse(key_id).ok().filter(KeyId::is_ed25519)?;
        Some((key_id, value.as_str().and_then(Signature::from_base64)))
    })
}
