//! Invites of people known by an e-mail address or a telephone number only.

use std::collections::BTreeSet;

use freehold_canonical_json::{Limits, Object, Value, member, parse, string_member};

use crate::{KeyId, Signature, VerifyingKey, json::signed_bytes};

/// Checks the `signed` object of an `m.room.member` invite that redeems an
/// `m.room.third_party_invite`.
///
/// > 7. If any signature in `signed` matches any public key in the `m.room.third_party_invite`
/// >    event, allow. The public keys are in `content` of `m.room.third_party_invite` as:
/// >    1. A single public key in the `public_key` property.
/// >    2. A list of public keys in the `public_keys` property.
///
/// (rule 4.4.1.7 of <https://spec.matrix.org/v1.19/rooms/v11/#authorization-rules>; the same in
/// every room version)
///
/// `signed` is the JSON text of `content.third_party_invite.signed`, `invite_content` that of the
/// content of the `m.room.third_party_invite` event. Public keys are read in standard and in
/// URL-safe base64, for identity servers write either; keys and signatures that cannot be read are
/// passed over. Under which name and key id a signature is filed does not matter, only that it is
/// one of Ed25519.
///
/// At most [`VERIFICATIONS_MAX`] signatures are verified; see there.
///
/// # Errors
///
/// [`ThirdPartyInviteError`]: the invite is not to be allowed.
pub fn verify_third_party_invite(signed: &str, invite_content: &str) -> Result<(), ThirdPartyInviteError> {
    let keys = public_keys(invite_content);
    if keys.is_empty() {
        return Err(ThirdPartyInviteError::NoPublicKey);
    }
    let signed = parse(signed.as_bytes(), &Limits::RELAXED)
        .ok()
        .and_then(Value::into_object)
        .ok_or(ThirdPartyInviteError::NotAnObject)?;
    let signatures = signatures(&signed);
    if signatures.is_empty() {
        return Err(ThirdPartyInviteError::NotSigned);
    }
    let message = signed_bytes(&signed);
    let holds = keys
        .iter()
        .flat_map(|key| signatures.iter().map(move |signature| (key, signature)))
        .take(VERIFICATIONS_MAX)
        .any(|(key, signature)| key.verify(&message, signature).is_ok());
    if holds { Ok(()) } else { Err(ThirdPartyInviteError::NoMatch) }
}

/// How many pairs of a key and a signature are tried for one invite.
///
/// Two events of 64 KiB can hold so many of both that trying every pair would take seconds. This
/// bound is this crate's own; real invites have one or two keys and one signature.
pub const VERIFICATIONS_MAX: usize = 1024;

/// Why an invite does not redeem a third-party invite. The sender of the invite is at fault, except
/// where the event with the keys is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThirdPartyInviteError {
    /// The third-party invite names no key that can be used.
    #[error("the third-party invite names no usable public key")]
    NoPublicKey,
    /// `signed` is not an object.
    #[error("signed is not an object")]
    NotAnObject,
    /// `signed` has no Ed25519 signature that can be read.
    #[error("signed is not signed")]
    NotSigned,
    /// No signature matches any of the keys.
    #[error("no signature in signed matches a public key of the third-party invite")]
    NoMatch,
}

/// The usable keys in the content of an `m.room.third_party_invite`, each once.
fn public_keys(content: &str) -> BTreeSet<VerifyingKey> {
    let single = string_member(content, "public_key");
    let listed = member(content, "public_keys").ok().flatten();
    let listed = listed.and_then(|keys| keys.as_array()).into_iter().flatten();
    let listed = listed.filter_map(Result::ok).filter_map(|key| string_member(key.text(), "public_key"));
    single.into_iter().chain(listed).filter_map(|key| VerifyingKey::from_base64(&key).ok()).collect()
}

/// Every Ed25519 signature under `signatures`, whoever signed.
fn signatures(signed: &Object<'_>) -> Vec<Signature> {
    let entries = signed.get("signatures").and_then(Value::as_object);
    let entries = entries.into_iter().flat_map(Object::values).filter_map(Value::as_object);
    entries
        .flat_map(Object::iter)
        .filter(|(key_id, _)| KeyId::parse(key_id).is_ok_and(|id| id.is_ed25519()))
        .filter_map(|(_, signature)| Signature::from_base64(signature.as_str()?))
        .collect()
}
