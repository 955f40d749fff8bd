//! Rule 4.4.1 (5.3.1 and 5.4.1 in others): invites of people who had no Matrix ID when they were
//! invited.

use freehold_canonical_json::{Limits, Object, RawValue, Value};
use freehold_signing::{Signature, VerifyingKey};

use crate::{AuthRule, AuthState, Denial, Membership, check::is, content, member::MemberAttempt};

/// How many pairs of signature and key are tried for one invite.
///
/// An event of 64 KiB has room for some 500 of each, a quarter of a million verifications. Real
/// invites have one signature and two keys.
const VERIFICATIONS_MAX: usize = 1024;

pub(crate) fn check_third_party_invite<S: AuthState>(
    member: &MemberAttempt<'_, S>,
    invite: RawValue<'_>,
) -> Result<(), Denial> {
    let attempt = member.attempt;
    // 4.4.1.1 "If *target user* is banned, reject."
    let membership = member.target_membership();
    if is(membership, Membership::Ban) {
        return attempt.deny_by(AuthRule::ThirdPartyInviteBanned, membership);
    }
    // 4.4.1.2 "If `content.third_party_invite` does not have a `signed` property, reject."
    let Some(signed) = content::raw_member(invite.text(), "signed") else {
        return attempt.deny(AuthRule::ThirdPartyInviteNotSigned, None);
    };
    // 4.4.1.3 "If `signed` does not have `mxid` and `token` properties, reject."
    let property = |key| content::string_member(signed.text(), key);
    let (Some(mxid), Some(token)) = (property("mxid"), property("token")) else {
        return attempt.deny(AuthRule::ThirdPartyInviteIncomplete, None);
    };
    // 4.4.1.4 "If `mxid` does not match `state_key`, reject."
    if *mxid != *member.target {
        return attempt.deny(AuthRule::ThirdPartyInviteOtherUser, None);
    }
    // 4.4.1.5 "If there is no `m.room.third_party_invite` event in the current room state with
    // `state_key` matching `token`, reject."
    let Some(issued) = attempt.state.third_party_invite(&token) else {
        return attempt.deny(AuthRule::ThirdPartyInviteUnknownToken, None);
    };
    // 4.4.1.6 "If `sender` does not match `sender` of the `m.room.third_party_invite`, reject."
    if member.sender() != issued.value.sender {
        return attempt.deny(AuthRule::ThirdPartyInviteOtherSender, Some(issued.event_id));
    }
    // 4.4.1.7 "If any signature in `signed` matches any public key in the
    // `m.room.third_party_invite` event, allow."
    if is_signed(signed, &public_keys(issued.value.content)) {
        return Ok(());
    }
    // 4.4.1.8 "Otherwise, reject."
    attempt.deny(AuthRule::ThirdPartyInviteSignature, Some(issued.event_id))
}

/// "The public keys are in `content` of `m.room.third_party_invite` as: 1. A single public key in
/// the `public_key` property. 2. A list of public keys in the `public_keys` property."
///
/// Identity servers write them in standard or URL-safe base64. What is no key is passed over.
fn public_keys(content: &str) -> Vec<VerifyingKey> {
    let single = content::raw_member(content, "public_key");
    let listed = content::elements_of(content, "public_keys")
        .filter_map(|key| content::raw_member(key.text(), "public_key"));
    single
        .into_iter()
        .chain(listed)
        .filter_map(|key| VerifyingKey::from_base64(&key.as_str()?).ok())
        .collect()
}

fn is_signed(signed: RawValue<'_>, keys: &[VerifyingKey]) -> bool {
    let Ok(Value::Object(mut signed)) = signed.parse(&Limits::RELAXED) else {
        return false;
    };
    let Some(Value::Object(signatures)) = signed.remove("signatures") else {
        return false;
    };
    signed.remove("unsigned");
    let message = signed.to_canonical_vec();
    ed25519_signatures(&signatures)
        .flat_map(|signature| keys.iter().map(move |key| (signature, key)))
        .take(VERIFICATIONS_MAX)
        .any(|(signature, key)| key.verify(&message, &signature).is_ok())
}

/// Every signature of an algorithm that the specification has, whoever made it.
fn ed25519_signatures(signatures: &Object<'_>) -> impl Iterator<Item = Signature> {
    signatures
        .iter()
        .filter_map(|(_, by_key)| by_key.as_object())
        .flat_map(|by_key| by_key.iter())
        .filter(|(key_id, _)| key_id.starts_with("ed25519:"))
        .filter_map(|(_, signature)| Signature::from_base64(signature.as_str()?))
}
