//! The rules that look at a state: the order in which they are asked.

use freehold_event::{EventView, MemberSummary, RoomVersion, server_name_of};

use crate::{
    AuthRule, AuthState, Denial, Fact, Membership, NamedLevel, Power, PowerLevels, RoomCreate, member,
    power_levels_rules, room_create,
};

/// Checks an event against a state: rule 1 for a create event, for others every rule after the
/// ones on `auth_events` (see [`check_auth_events`](crate::check_auth_events)).
///
/// The same function serves all the checks of a received event, whatever the state: that of its
/// auth events, the state before it, the current state; and every step of state resolution.
///
/// Signatures have been verified before: rule 4.2.1, that the server of
/// `join_authorised_via_users_server` has signed, is part of that.
///
/// # Errors
///
/// The rule that rejects the event, and the event of the state that the rule looked at.
pub fn check<S: AuthState>(
    event: &EventView<'_, S::Id>,
    state: &S,
    version: &'static RoomVersion,
) -> Result<(), Denial> {
    check_read(event, Content::Unread, state, version)
}

/// What the caller has already read of an event's content.
///
/// It is taken as right: what is passed here must have been read from the event that is checked.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Nothing: the rules read what they need.
    Unread,
    /// [`MemberSummary::of`] the event, which is an ordinary `m.room.member` event.
    Member(MemberSummary),
    /// [`PowerLevels::read`] from the content, of an event with the type `m.room.power_levels`.
    PowerLevels(&'a PowerLevels),
}

/// [`check`] of an event whose content has been read before: state resolution looks at every event
/// more than once.
///
/// # Errors
///
/// As [`check`].
pub fn check_read<S: AuthState>(
    event: &EventView<'_, S::Id>,
    content: Content<'_>,
    state: &S,
    version: &'static RoomVersion,
) -> Result<(), Denial> {
    let member = if let Content::Member(member) = content { Some(member) } else { None };
    // 1. "If type is `m.room.create`"
    if member.is_none() && event.event_type == "m.room.create" {
        return room_create::check_create(event, version);
    }
    let attempt = Attempt::new(event, content, state, version)?;
    // 3. "If the `content` of the `m.room.create` event in the room state has the property
    // `m.federate` set to `false`, and the `sender` domain of the event does not match the `sender`
    // domain of the create event, reject."
    let create = attempt.create;
    if !create.value.federates() && event.sender_server() != server_name_of(create.value.sender()) {
        return attempt.deny(AuthRule::NotFederated, Some(create.event_id));
    }
    if let Some(member) = member {
        return member::check_ordinary_member(&attempt, member);
    }
    match event.event_type {
        // 4. [1-5] "If type is `m.room.aliases`"
        "m.room.aliases" if version.rules().authorization.special_case_room_aliases => {
            attempt.check_aliases()
        }
        // 4. "If type is `m.room.member`"
        "m.room.member" => member::check_member(&attempt),
        _ => attempt.check_other(),
    }
}

/// An event and the state it is held against.
pub(crate) struct Attempt<'a, S: AuthState> {
    pub(crate) event: &'a EventView<'a, S::Id>,
    content: Content<'a>,
    pub(crate) state: &'a S,
    pub(crate) version: &'static RoomVersion,
    pub(crate) create: Fact<'a, &'a RoomCreate>,
}

impl<'a, S: AuthState> Attempt<'a, S> {
    fn new(
        event: &'a EventView<'a, S::Id>,
        content: Content<'a>,
        state: &'a S,
        version: &'static RoomVersion,
    ) -> Result<Self, Denial> {
        let Some(create) = state.create() else {
            // A state without a create event authorises nothing. The rules say it where they ask
            // for that event.
            let rule = if version.rules().authorization.room_create_event_id_as_room_id {
                AuthRule::RoomIdNotCreateEvent
            } else {
                AuthRule::AuthEventsWithoutCreate
            };
            return Err(Denial::new(rule, version, None));
        };
        Ok(Self { event, content, state, version, create })
    }

    pub(crate) fn deny(&self, rule: AuthRule, against: Option<&str>) -> Result<(), Denial> {
        Err(Denial::new(rule, self.version, against))
    }

    /// Denies, and names the membership that was looked at.
    pub(crate) fn deny_by(
        &self,
        rule: AuthRule,
        membership: Option<Fact<'_, Membership>>,
    ) -> Result<(), Denial> {
        self.deny(rule, membership.map(|fact| fact.event_id))
    }

    /// Denies for want of power, and names the power levels, or the create event while there are
    /// none.
    pub(crate) fn deny_power(&self, rule: AuthRule) -> Result<(), Denial> {
        let against = self.state.power_levels().map(|levels| levels.event_id);
        self.deny(rule, against.or(Some(self.create.event_id)))
    }

    pub(crate) fn levels(&self) -> &'a PowerLevels {
        self.state.power_levels().map(|levels| levels.value).unwrap_or_default()
    }

    pub(crate) fn power(&self, user_id: &str) -> Power {
        let levels = self.state.power_levels().map(|levels| levels.value);
        Power::of_user(user_id, Some(self.create.value), levels)
    }

    pub(crate) fn has_level(&self, user_id: &str, level: NamedLevel) -> bool {
        self.power(user_id) >= Power::Level(self.levels().level(level))
    }

    /// Rule 4 of room versions 1–5.
    fn check_aliases(&self) -> Result<(), Denial> {
        match self.event.state_key {
            // 4.1 "If event has no `state_key`, reject."
            None => self.deny(AuthRule::AliasesWithoutStateKey, None),
            // 4.2 "If sender's domain doesn't match `state_key`, reject."
            Some(state_key) if self.event.sender_server() != Some(state_key) => {
                self.deny(AuthRule::AliasesStateKeyDomain, None)
            }
            // 4.3 "Otherwise, allow."
            Some(_) => Ok(()),
        }
    }

    /// Rules 5 to 10, for everything but memberships.
    fn check_other(&self) -> Result<(), Denial> {
        let event = self.event;
        // 5. "If the `sender`'s current membership state is not `join`, reject."
        let membership = self.state.membership(event.sender);
        if !is(membership, Membership::Join) {
            return self.deny_by(AuthRule::SenderNotJoined, membership);
        }
        // 6. "If type is `m.room.third_party_invite`"
        if event.event_type == "m.room.third_party_invite" {
            // 6.1 "Allow if and only if `sender`'s current power level is greater than or equal to
            // the *invite level*."
            if !self.has_level(event.sender, NamedLevel::Invite) {
                return self.deny_power(AuthRule::ThirdPartyInvitePower);
            }
            return Ok(());
        }
        // 7. "If the event type's *required power level* is greater than the `sender`'s power
        // level, reject."
        let power = self.power(event.sender);
        let required = self.levels().required_level(event.event_type, event.state_key);
        if Power::Level(required) > power {
            return self.deny_power(AuthRule::RequiredPower);
        }
        // 8. "If the event has a `state_key` that starts with an `@` and does not match the
        // `sender`, reject."
        if event.state_key.is_some_and(|key| key.starts_with('@') && key != event.sender) {
            return self.deny(AuthRule::StateKeyOtherUser, None);
        }
        match event.event_type {
            // 9. "If type is `m.room.power_levels`"
            "m.room.power_levels" => self.check_power_levels(power),
            // 11. [1-2] "If type is `m.room.redaction`"
            "m.room.redaction" if self.version.rules().authorization.special_case_room_redaction => {
                self.check_redaction(power)
            }
            // 10. "Otherwise, allow."
            _ => Ok(()),
        }
    }

    fn check_power_levels(&self, sender_power: Power) -> Result<(), Denial> {
        let current = power_levels_rules::Current {
            create: self.create,
            power_levels: self.state.power_levels(),
            sender_power,
        };
        if let Content::PowerLevels(new) = self.content {
            return power_levels_rules::check_power_levels(self.event.sender, new, &current, self.version);
        }
        let new = PowerLevels::read(self.event.content, self.version);
        power_levels_rules::check_power_levels(self.event.sender, &new, &current, self.version)
    }

    /// Rule 11 of room versions 1 and 2.
    fn check_redaction(&self, power: Power) -> Result<(), Denial> {
        // 11.1 "If the `sender`'s power level is greater than or equal to the *redact level*,
        // allow."
        if power >= Power::Level(self.levels().level(NamedLevel::Redact)) {
            return Ok(());
        }
        // 11.2 "If the domain of the `event_id` of the event being redacted is the same as the
        // domain of the `event_id` of the `m.room.redaction`, allow." No domain is not the same as
        // no domain.
        let target_domain = self.event.redacts.and_then(server_name_of);
        if target_domain.is_some() && target_domain == server_name_of(self.event.event_id) {
            return Ok(());
        }
        // 11.3 "Otherwise, reject."
        self.deny_power(AuthRule::RedactionNotAllowed)
    }
}

/// Whether a membership in the state is the given one.
pub(crate) fn is(fact: Option<Fact<'_, Membership>>, membership: Membership) -> bool {
    fact.is_some_and(|fact| fact.value == membership)
}
