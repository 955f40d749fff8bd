//! Signing JSON objects.

use std::borrow::Cow;

use freehold_canonical_json::{Object, Value};
use ruma_common::ServerName;

use crate::{KeySource, SignatureError, Signer, entry::Check};

/// Adds a signature to an object, as
/// [Signing details](https://spec.matrix.org/v1.19/appendices/#signing-details) describes.
///
/// Signatures that are there stay, also of the same server with another key. `unsigned` and
/// `signatures` are not signed. For events use [`sign_event`](crate::sign_event).
///
/// # Errors
///
/// [`MalformedSignatures`] when `signatures`, or the server's entry in it, is there and no object;
/// the object is unchanged then.
pub fn sign_json(object: &mut Object<'_>, signer: &impl Signer) -> Result<(), MalformedSignatures> {
    let signature = signer.sign(&signed_bytes(object));
    let entry = entry_of(object, signer.server_name())?;
    entry.insert(signer.key_id().as_str().to_owned(), Value::String(signature.to_base64().into()));
    Ok(())
}

/// Checks that `server` signed an object, as
/// [Checking for a signature](https://spec.matrix.org/v1.19/appendices/#checking-for-a-signature)
/// describes.
///
/// Keys the source does not have are skipped; every signature with a key it has must hold, and
/// there must be one. Which keys are good at what time is for the source to decide: see
/// [`ValidAt`](crate::ValidAt). For events use [`verify_event`](crate::verify_event).
///
/// # Errors
///
/// [`SignatureError`], naming the step that failed.
pub fn verify_json(
    object: &Object<'_>,
    server: &ServerName,
    keys: &impl KeySource,
) -> Result<(), SignatureError> {
    let entry = object
        .get("signatures")
        .and_then(Value::as_object)
        .and_then(|signatures| signatures.get(server.as_str()))
        .and_then(Value::as_object)
        .map(|entry| {
            entry.iter().map(|(key, value)| (Cow::Borrowed(key), value.as_str().map(Cow::Borrowed)))
        });
    // 5. Removes the `signatures` and `unsigned` members of the object.
    // 6. Encodes the remainder of the JSON object using the Canonical JSON encoding.
    let message = signed_bytes(object);
    Check { server, message: &message, keys, valid: |_| true, proven: &[] }.entry(entry)
}

/// `signatures`, or one server's entry in it, is there and no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signatures is not an object of objects")]
pub struct MalformedSignatures;

/// The bytes a signature of an object covers: its canonical form without `signatures` and
/// `unsigned`.
pub(crate) fn signed_bytes(object: &Object<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    object.write_canonical_if(|key| !matches!(key, "signatures" | "unsigned"), &mut bytes);
    bytes
}

/// The entry of a server under `signatures`, made when it is not there.
fn entry_of<'o, 'a>(
    object: &'o mut Object<'a>,
    server: &ServerName,
) -> Result<&'o mut Object<'a>, MalformedSignatures> {
    let place = object
        .get("signatures")
        .map_or(Some(None), |signatures| signatures.as_object().map(|all| all.get(server.as_str())));
    match place {
        Some(None | Some(Value::Object(_))) => {}
        _ => return Err(MalformedSignatures),
    }
    let signatures = member_object(object, "signatures").ok_or(MalformedSignatures)?;
    member_object(signatures, server.as_str()).ok_or(MalformedSignatures)
}

fn member_object<'o, 'a>(object: &'o mut Object<'a>, key: &str) -> Option<&'o mut Object<'a>> {
    if !object.contains_key(key) {
        object.insert(key.to_owned(), Value::Object(Object::new()));
    }
    object.get_mut(key)?.as_object_mut()
}
