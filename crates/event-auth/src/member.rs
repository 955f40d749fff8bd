//! Rule 4 (5 in room versions 1–5 and 12): "if type is `m.room.member`".
//!
//! The numbers in the comments are those of room versions 8–11.

use freehold_event::{MemberSummary, server_name_of_user};

use crate::{
    AuthRule, AuthState, Denial, Fact, JoinRule, Membership, NamedLevel,
    check::{Attempt, is},
    content::MemberContent,
    third_party_invite,
};

/// A change of membership: an [`Attempt`] whose event is an `m.room.member`.
pub(crate) struct MemberAttempt<'a, S: AuthState> {
    pub(crate) attempt: &'a Attempt<'a, S>,
    /// The *target user*.
    pub(crate) target: &'a str,
    sender_is_target: bool,
    pub(crate) content: MemberContent<'a>,
}

pub(crate) fn check_member<S: AuthState>(attempt: &Attempt<'_, S>) -> Result<(), Denial> {
    let content = MemberContent::read(attempt.event.content);
    // 4.1 "If there is no `state_key` property, or no `membership` property in `content`, reject."
    // A state key that is no user ID names no target; Synapse and ruma-state-res reject it too.
    let target = attempt.event.state_key.filter(|target| looks_like_user_id(target));
    let membership = content.membership.and_then(|membership| membership.as_str());
    let (Some(target), Some(membership)) = (target, membership) else {
        return attempt.deny(AuthRule::MemberIncomplete, None);
    };
    let rules = &attempt.version.rules().authorization;
    // 4.2.1 "If the event is not validly signed by the homeserver of the user ID denoted by the
    // key, reject."
    if let Some(authoriser) = content.join_authorised_via_users_server
        && rules.restricted_join_rule
        && !authoriser.as_str().is_some_and(|user| looks_like_user_id(&user))
    {
        return attempt.deny(AuthRule::MemberAuthorisingSignature, None);
    }
    let sender_is_target = attempt.event.sender == target;
    MemberAttempt { attempt, target, sender_is_target, content }.check(Membership::parse(&membership))
}

/// The same for an event of which the summary is known: nothing of its texts is looked at.
pub(crate) fn check_ordinary_member<S: AuthState>(
    attempt: &Attempt<'_, S>,
    summary: MemberSummary,
) -> Result<(), Denial> {
    let Some(target) = attempt.event.state_key else {
        // Only a caller's mistake: an event without state key has no summary.
        return attempt.deny(AuthRule::MemberIncomplete, None);
    };
    let (sender_is_target, content) = (summary.of_sender, MemberContent::default());
    MemberAttempt { attempt, target, sender_is_target, content }.check(summary.membership)
}

/// The join rule of a state. Without an event it is `invite`: the text is silent, and Synapse
/// and gomatrixserverlib both take it so.
fn rule_of(join_rule: Option<Fact<'_, JoinRule>>) -> JoinRule {
    join_rule.map_or(JoinRule::Invite, |rule| rule.value)
}

fn looks_like_user_id(id: &str) -> bool {
    server_name_of_user(id).is_some()
}

impl<'a, S: AuthState> MemberAttempt<'a, S> {
    fn check(&self, membership: Membership) -> Result<(), Denial> {
        match membership {
            Membership::Join => self.check_join(),
            Membership::Invite => self.check_invite(),
            Membership::Leave => self.check_leave(),
            Membership::Ban => self.check_ban(),
            Membership::Knock if self.attempt.version.rules().authorization.knocking => self.check_knock(),
            // 4.8 "Otherwise, the membership is unknown. Reject."
            Membership::Knock | Membership::Other => self.attempt.deny(AuthRule::MembershipUnknown, None),
        }
    }

    pub(crate) fn sender(&self) -> &'a str {
        self.attempt.event.sender
    }

    pub(crate) fn target_membership(&self) -> Option<Fact<'a, Membership>> {
        self.attempt.state.membership(self.target)
    }

    fn sender_membership(&self) -> Option<Fact<'a, Membership>> {
        self.attempt.state.membership(self.sender())
    }

    /// 4.3 "If `membership` is `join`".
    fn check_join(&self) -> Result<(), Denial> {
        // 4.3.1 "If the only previous event is an `m.room.create` and the `state_key` is the
        // creator [11-12: the sender of the `m.room.create`], allow."
        if self.is_first_join() {
            return Ok(());
        }
        // 4.3.2 "If the `sender` does not match `state_key`, reject."
        if !self.sender_is_target {
            return self.attempt.deny(AuthRule::JoinSenderNotTarget, None);
        }
        // 4.3.3 "If the `sender` is banned, reject."
        let membership = self.target_membership();
        if is(membership, Membership::Ban) {
            return self.attempt.deny_by(AuthRule::JoinBanned, membership);
        }
        let rules = &self.attempt.version.rules().authorization;
        let joined_or_invited = is(membership, Membership::Join) || is(membership, Membership::Invite);
        let join_rule = self.attempt.state.join_rule();
        let allowed = match rule_of(join_rule) {
            // 4.3.4 "If the `join_rule` is `invite` or [from 7] `knock` then allow if membership
            // state is `invite` or `join`."
            JoinRule::Invite => joined_or_invited,
            JoinRule::Knock => rules.knocking && joined_or_invited,
            // 4.3.5 "If the `join_rule` is `restricted` or [from 10] `knock_restricted`"
            JoinRule::Restricted if rules.restricted_join_rule => {
                return self.check_restricted_join(joined_or_invited);
            }
            JoinRule::KnockRestricted if rules.knock_restricted_join_rule => {
                return self.check_restricted_join(joined_or_invited);
            }
            // 4.3.6 "If the `join_rule` is `public`, allow."
            JoinRule::Public => true,
            JoinRule::Restricted | JoinRule::KnockRestricted | JoinRule::Other => false,
        };
        if allowed {
            return Ok(());
        }
        // 4.3.7 "Otherwise, reject."
        self.attempt.deny(AuthRule::JoinNotAllowed, join_rule.map(|rule| rule.event_id))
    }

    fn is_first_join(&self) -> bool {
        let [only] = self.attempt.event.prev_events else {
            return false;
        };
        self.attempt.state.is_create(only) && self.attempt.create.value.creator() == Some(self.target)
    }

    /// The items of 4.3.5.
    fn check_restricted_join(&self, joined_or_invited: bool) -> Result<(), Denial> {
        // 4.3.5.1 "If membership state is `join` or `invite`, allow."
        if joined_or_invited {
            return Ok(());
        }
        // 4.3.5.2 "If the `join_authorised_via_users_server` key in `content` is not a user with
        // sufficient permission to invite other users or is not a joined member of the room,
        // reject."
        let authoriser = self.content.join_authorised_via_users_server.and_then(|user| user.as_str());
        let Some(authoriser) = authoriser else {
            let against = self.attempt.state.join_rule().map(|rule| rule.event_id);
            return self.attempt.deny(AuthRule::JoinNotAuthorised, against);
        };
        let membership = self.attempt.state.membership(&authoriser);
        if !is(membership, Membership::Join) {
            return self.attempt.deny_by(AuthRule::JoinNotAuthorised, membership);
        }
        if !self.attempt.has_level(&authoriser, NamedLevel::Invite) {
            return self.attempt.deny_power(AuthRule::JoinNotAuthorised);
        }
        // 4.3.5.3 "Otherwise, allow."
        Ok(())
    }

    /// 4.4 "If `membership` is `invite`".
    fn check_invite(&self) -> Result<(), Denial> {
        // 4.4.1 "If `content` has a `third_party_invite` property"
        if let Some(invite) = self.content.third_party_invite {
            return third_party_invite::check_third_party_invite(self, invite);
        }
        // 4.4.2 "If the `sender`'s current membership state is not `join`, reject."
        let membership = self.sender_membership();
        if !is(membership, Membership::Join) {
            return self.attempt.deny_by(AuthRule::InviteSenderNotJoined, membership);
        }
        // 4.4.3 "If *target user*'s current membership state is `join` or `ban`, reject."
        let membership = self.target_membership();
        if is(membership, Membership::Join) || is(membership, Membership::Ban) {
            return self.attempt.deny_by(AuthRule::InviteTargetJoinedOrBanned, membership);
        }
        // 4.4.4 "If the `sender`'s power level is greater than or equal to the *invite level*,
        // allow."
        if self.attempt.has_level(self.sender(), NamedLevel::Invite) {
            return Ok(());
        }
        // 4.4.5 "Otherwise, reject."
        self.attempt.deny_power(AuthRule::InvitePower)
    }

    /// 4.5 "If `membership` is `leave`".
    fn check_leave(&self) -> Result<(), Denial> {
        let membership = self.sender_membership();
        // 4.5.1 "If the `sender` matches `state_key`, allow if and only if that user's current
        // membership state is `invite`, `join`, or [from 7] `knock`."
        if self.sender_is_target {
            let knocking = self.attempt.version.rules().authorization.knocking;
            let in_room = is(membership, Membership::Invite)
                || is(membership, Membership::Join)
                || knocking && is(membership, Membership::Knock);
            if in_room {
                return Ok(());
            }
            return self.attempt.deny_by(AuthRule::LeaveNotInRoom, membership);
        }
        // 4.5.2 "If the `sender`'s current membership state is not `join`, reject."
        if !is(membership, Membership::Join) {
            return self.attempt.deny_by(AuthRule::KickSenderNotJoined, membership);
        }
        // 4.5.3 "If the *target user*'s current membership state is `ban`, and the `sender`'s power
        // level is less than the *ban level*, reject."
        if is(self.target_membership(), Membership::Ban)
            && !self.attempt.has_level(self.sender(), NamedLevel::Ban)
        {
            return self.attempt.deny_power(AuthRule::UnbanPower);
        }
        // 4.5.4 "If the `sender`'s power level is greater than or equal to the *kick level*, and
        // the *target user*'s power level is less than the `sender`'s power level, allow."
        if self.outranks_target_with(NamedLevel::Kick) {
            return Ok(());
        }
        // 4.5.5 "Otherwise, reject."
        self.attempt.deny_power(AuthRule::KickPower)
    }

    /// 4.6 "If `membership` is `ban`".
    fn check_ban(&self) -> Result<(), Denial> {
        // 4.6.1 "If the `sender`'s current membership state is not `join`, reject."
        let membership = self.sender_membership();
        if !is(membership, Membership::Join) {
            return self.attempt.deny_by(AuthRule::BanSenderNotJoined, membership);
        }
        // 4.6.2 "If the `sender`'s power level is greater than or equal to the *ban level*, and the
        // *target user*'s power level is less than the `sender`'s power level, allow."
        if self.outranks_target_with(NamedLevel::Ban) {
            return Ok(());
        }
        // 4.6.3 "Otherwise, reject."
        self.attempt.deny_power(AuthRule::BanPower)
    }

    fn outranks_target_with(&self, level: NamedLevel) -> bool {
        self.attempt.has_level(self.sender(), level)
            && self.attempt.power(self.target) < self.attempt.power(self.sender())
    }

    /// 4.7 "If `membership` is `knock`".
    fn check_knock(&self) -> Result<(), Denial> {
        // 4.7.1 "If the `join_rule` is anything other than `knock` or [from 10]
        // `knock_restricted`, reject."
        let rules = &self.attempt.version.rules().authorization;
        let join_rule = self.attempt.state.join_rule();
        let knockable = match rule_of(join_rule) {
            JoinRule::Knock => true,
            JoinRule::KnockRestricted => rules.knock_restricted_join_rule,
            _ => false,
        };
        if !knockable {
            return self.attempt.deny(AuthRule::KnockNotAllowed, join_rule.map(|rule| rule.event_id));
        }
        // 4.7.2 "If `sender` does not match `state_key`, reject."
        if !self.sender_is_target {
            return self.attempt.deny(AuthRule::KnockSenderNotTarget, None);
        }
        // 4.7.3 "If the `sender`'s current membership is not `ban`, `invite`, or `join`, allow."
        let membership = self.sender_membership();
        match membership.map(|fact| fact.value) {
            // 4.7.4 "Otherwise, reject."
            Some(Membership::Ban | Membership::Invite | Membership::Join) => {
                self.attempt.deny_by(AuthRule::KnockMembership, membership)
            }
            _ => Ok(()),
        }
    }
}
