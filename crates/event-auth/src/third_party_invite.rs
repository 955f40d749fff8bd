//! Rule 4.4.1 (5.3.1 and 5.4.1 in others): invites of people who had no Matrix ID when they were
//! invited.

use freehold_canonical_json::{RawValue, string_member};
use freehold_signing::verify_third_party_invite;

use crate::{AuthRule, AuthState, Denial, Membership, check::is, content, member::MemberAttempt};

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
    let property = |key| string_member(signed.text(), key);
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
    if verify_third_party_invite(signed.text(), issued.value.content).is_ok() {
        return Ok(());
    }
    // 4.4.1.8 "Otherwise, reject."
    attempt.deny(AuthRule::ThirdPartyInviteSignature, Some(issued.event_id))
}
