//! "If `content` has a `third_party_invite` property:"

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;

use super::{
    Denied,
    auth::{membership, reject_if},
    member::{MemberCheck, str_member},
};
use crate::event::RoomEvent;

/// Point 1 of "If `membership` is `invite`".
pub(super) fn check_third_party_invite(check: &MemberCheck<'_>, invite: &Value) -> Result<(), Denied> {
    let rule = |number: u8| format!("{}.{number}", check.sub(1));
    // "1. If *target user* is banned, reject."
    reject_if(membership(check.state, check.target) == "ban", rule(1), "target is banned")?;
    // "2. If `content.third_party_invite` does not have a `signed` property, reject."
    let Some(signed) = invite.get("signed") else {
        return Err(Denied { rule: rule(2), why: "nothing signed" });
    };
    // "3. If `signed` does not have `mxid` and `token` properties, reject."
    let (Some(mxid), Some(token)) = (str_member(signed, "mxid"), str_member(signed, "token")) else {
        return Err(Denied { rule: rule(3), why: "no mxid or no token" });
    };
    // "4. If `mxid` does not match `state_key`, reject."
    reject_if(mxid != check.target, rule(4), "mxid is not the target")?;
    // "5. If there is no `m.room.third_party_invite` event in the current room state with
    // `state_key` matching `token`, reject."
    let key = ("m.room.third_party_invite".to_owned(), token.to_owned());
    let Some(offer) = check.state.get(&key).copied() else {
        return Err(Denied { rule: rule(5), why: "no third-party invite with this token" });
    };
    // "6. If `sender` does not match `sender` of the `m.room.third_party_invite`, reject."
    reject_if(check.event.sender != offer.sender, rule(6), "sender is not who invited")?;
    // "7. If any signature in `signed` matches any public key in the `m.room.third_party_invite`
    // event, allow." "8. Otherwise, reject."
    reject_if(!is_signed_by_any(signed, &public_keys(offer)), rule(8), "no signature matches")
}

/// "The public keys are in `content` of `m.room.third_party_invite` as: 1. A single public key in
/// the `public_key` property. 2. A list of public keys in the `public_keys` property."
fn public_keys(offer: &RoomEvent) -> Vec<VerifyingKey> {
    let content = offer.content_object();
    let listed = content.get("public_keys").and_then(Value::as_array).into_iter().flatten();
    let listed = listed.filter_map(|entry| str_member(entry, "public_key"));
    let single = content.get("public_key").and_then(Value::as_str);
    let all = single.into_iter().chain(listed).filter_map(decode);
    all.filter_map(|bytes| VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok()).collect()
}

fn is_signed_by_any(signed: &Value, keys: &[VerifyingKey]) -> bool {
    let mut unsigned = signed.as_object().cloned().unwrap_or_default();
    let signatures = unsigned.remove("signatures").unwrap_or_default();
    unsigned.remove("unsigned");
    // `serde_json` sorts members by their bytes and writes no white space; for the strings in
    // `signed` that is canonical JSON.
    let message = Value::Object(unsigned).to_string();
    let by_server = signatures.as_object().into_iter().flat_map(|servers| servers.values());
    let all = by_server.filter_map(Value::as_object).flatten();
    let all = all.filter(|(key_id, _)| key_id.starts_with("ed25519:"));
    all.filter_map(|(_, text)| Signature::from_slice(&decode(text.as_str()?)?).ok())
        .any(|signature| keys.iter().any(|key| key.verify_strict(message.as_bytes(), &signature).is_ok()))
}

/// Base64 with or without padding, of either alphabet: identity servers publish both.
fn decode(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard = GeneralPurpose::new(&STANDARD, config);
    let url_safe = GeneralPurpose::new(&URL_SAFE, config);
    standard.decode(text).or_else(|_| url_safe.decode(text)).ok()
}
