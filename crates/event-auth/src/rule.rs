//! Every rule that can reject an event, named by what it demands.

use std::fmt;

use freehold_event::RoomVersion;
use ruma_common::room_version_rules::AuthorizationRules;

/// A rule of the specification that rejects events.
///
/// The numbers of the rules move from one room version to the next; the variants do not. The
/// documentation of each variant quotes the rule and gives its number in [room version
/// 11](https://spec.matrix.org/v1.19/rooms/v11/#authorisation-rules), or in the last version that
/// has it; [`AuthRule::number`] gives the number for any version.
///
/// Rules of the form "otherwise, reject" are variants too: an event that no "allow" of its list
/// lets through is rejected by the last line of that list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AuthRule {
    /// 1.1: an `m.room.create` event "has any `prev_events`".
    CreateHasPrevEvents,
    /// 1.2, room versions 1–11: "the domain of the `room_id` does not match the domain of the
    /// `sender`".
    CreateRoomIdDomain,
    /// 1.2, room version 12: the create event "has a `room_id`".
    CreateHasRoomId,
    /// 1.3: "`content.room_version` is present and is not a recognised version".
    CreateRoomVersion,
    /// 1.4, room versions 1–10: "`content` has no `creator` property".
    CreateWithoutCreator,
    /// 1.4, room version 12: "`additional_creators` is present in `content` and is not an array of
    /// strings where each string passes the same user ID validation applied to `sender`".
    CreateAdditionalCreators,
    /// 2, room version 12: "the event's `room_id` is not an event ID for an accepted (not
    /// rejected) `m.room.create` event, with the sigil `!` instead of `$`".
    RoomIdNotCreateEvent,
    /// 2.1: among the `auth_events` "there are duplicate entries for a given `type` and
    /// `state_key` pair".
    AuthEventsDuplicate,
    /// 2.2: among the `auth_events` "there are entries whose `type` and `state_key` don't match
    /// those specified by the auth events selection algorithm".
    AuthEventsNotSelected,
    /// 2.3: among the `auth_events` "there are entries which were themselves rejected".
    AuthEventsRejected,
    /// 2.4, room versions 1–11: "there is no `m.room.create` event among the entries".
    AuthEventsWithoutCreate,
    /// 2.5: "any event in `auth_events` has a `room_id` which does not match that of the event
    /// being authorised".
    AuthEventsOtherRoom,
    /// 3: the create event has "the property `m.federate` set to `false`, and the `sender` domain
    /// of the event does not match the `sender` domain of the create event".
    NotFederated,
    /// 4.1, room versions 1–5: an `m.room.aliases` event "has no `state_key`".
    AliasesWithoutStateKey,
    /// 4.2, room versions 1–5: the "sender's domain doesn't match `state_key`" of an
    /// `m.room.aliases` event.
    AliasesStateKeyDomain,
    /// 4.1: an `m.room.member` event has "no `state_key` property, or no `membership` property in
    /// `content`".
    MemberIncomplete,
    /// 4.2.1, from room version 8: the event has `join_authorised_via_users_server` and "is not
    /// validly signed by the homeserver of the user ID denoted by the key".
    ///
    /// The signature itself is checked before authorisation, by the signing crate; here the rule
    /// rejects values that denote no user and so no server that could have signed.
    MemberAuthorisingSignature,
    /// 4.3.2: `membership` is `join` and "the `sender` does not match `state_key`".
    JoinSenderNotTarget,
    /// 4.3.3: `membership` is `join` and "the `sender` is banned".
    JoinBanned,
    /// 4.3.5.2, from room version 8: the join rule is `restricted` (or, from room version 10,
    /// `knock_restricted`) and the "`join_authorised_via_users_server` key in `content` is not a
    /// user with sufficient permission to invite other users or is not a joined member".
    JoinNotAuthorised,
    /// 4.3.7: `membership` is `join` and no join rule lets the user in.
    JoinNotAllowed,
    /// 4.4.1.1: a third-party invite whose "*target user* is banned".
    ThirdPartyInviteBanned,
    /// 4.4.1.2: "`content.third_party_invite` does not have a `signed` property".
    ThirdPartyInviteNotSigned,
    /// 4.4.1.3: "`signed` does not have `mxid` and `token` properties".
    ThirdPartyInviteIncomplete,
    /// 4.4.1.4: "`mxid` does not match `state_key`".
    ThirdPartyInviteOtherUser,
    /// 4.4.1.5: "there is no `m.room.third_party_invite` event in the current room state with
    /// `state_key` matching `token`".
    ThirdPartyInviteUnknownToken,
    /// 4.4.1.6: "`sender` does not match `sender` of the `m.room.third_party_invite`".
    ThirdPartyInviteOtherSender,
    /// 4.4.1.8: no "signature in `signed` matches any public key in the
    /// `m.room.third_party_invite` event".
    ThirdPartyInviteSignature,
    /// 4.4.2: `membership` is `invite` and "the `sender`'s current membership state is not
    /// `join`".
    InviteSenderNotJoined,
    /// 4.4.3: `membership` is `invite` and the "*target user*'s current membership state is `join`
    /// or `ban`".
    InviteTargetJoinedOrBanned,
    /// 4.4.5: `membership` is `invite` and the sender's power is below the *invite level*.
    InvitePower,
    /// 4.5.1: `membership` is `leave`, the sender is the target, and "that user's current
    /// membership state" is not `invite` or `join` (or, from room version 7, `knock`).
    LeaveNotInRoom,
    /// 4.5.2: a kick, and "the `sender`'s current membership state is not `join`".
    KickSenderNotJoined,
    /// 4.5.3: "the *target user*'s current membership state is `ban`, and the `sender`'s power
    /// level is less than the *ban level*".
    UnbanPower,
    /// 4.5.5: a kick, and the sender's power is below the *kick level* or not above the target's.
    KickPower,
    /// 4.6.1: `membership` is `ban` and "the `sender`'s current membership state is not `join`".
    BanSenderNotJoined,
    /// 4.6.3: `membership` is `ban`, and the sender's power is below the *ban level* or not above
    /// the target's.
    BanPower,
    /// 4.7.1, from room version 7: `membership` is `knock` and the join rule "is anything other
    /// than `knock`" (or, from room version 10, `knock_restricted`).
    KnockNotAllowed,
    /// 4.7.2, from room version 7: `membership` is `knock` and the "`sender` does not match
    /// `state_key`".
    KnockSenderNotTarget,
    /// 4.7.4, from room version 7: `membership` is `knock` and the user is banned, invited or
    /// joined.
    KnockMembership,
    /// 4.8: "the membership is unknown".
    MembershipUnknown,
    /// 5: "the `sender`'s current membership state is not `join`".
    SenderNotJoined,
    /// 6.1: an `m.room.third_party_invite` event whose sender's power is below the *invite level*.
    ThirdPartyInvitePower,
    /// 7: "the event type's *required power level* is greater than the `sender`'s power level".
    RequiredPower,
    /// 8: "the event has a `state_key` that starts with an `@` and does not match the `sender`".
    StateKeyOtherUser,
    /// 9.1, from room version 10: "any of the properties `users_default`, `events_default`,
    /// `state_default`, `ban`, `redact`, `kick`, or `invite` in `content` are present and not an
    /// integer".
    ///
    /// Earlier versions say it outside the numbered list, where they describe how levels [may be
    /// written](https://spec.matrix.org/v1.19/rooms/v9/#mroompower_levels-events-accept-values-as-strings);
    /// there it counts under the rule about `users`, the only one on the shape of the content.
    PowerLevelsProperty,
    /// 9.2, from room version 10: "either of the properties `events` or `notifications` in
    /// `content` are present and not an object with values that are integers".
    ///
    /// For earlier versions see [`AuthRule::PowerLevelsProperty`].
    PowerLevelsMap,
    /// 9.3: "the `users` property in `content` is not an object with keys that are valid user IDs
    /// with values that are integers" (or, until room version 9, strings that are integers).
    PowerLevelsUsers,
    /// 10.4, room version 12: "the `users` property in `content` contains the `sender` of the
    /// `m.room.create` event or any of the `additional_creators`".
    PowerLevelsCreator,
    /// 9.5.1: the current value of a property that is altered "is higher than the `sender`'s
    /// current power level".
    PropertyCurrent,
    /// 9.5.2: the new value of a property that is altered "is higher than the `sender`'s current
    /// power level".
    PropertyNew,
    /// 9.6.1: the current value of an entry of `events` (or, from room version 6, of
    /// `notifications`) that is changed or removed "is greater than the `sender`'s current power
    /// level".
    EntryCurrent,
    /// 9.7.1: the new value of an entry of `events` (or, from room version 6, of `notifications`)
    /// that is added or changed "is greater than the `sender`'s current power level".
    EntryNew,
    /// 9.8.1: the current value of an entry of `users`, not the sender's own, that is changed or
    /// removed "is greater than or equal to the `sender`'s current power level".
    UserCurrent,
    /// 9.9.1: the new value of an entry of `users` that is added or changed "is greater than the
    /// `sender`'s current power level".
    UserNew,
    /// 11.3, room versions 1–2: an `m.room.redaction` event whose sender's power is below the
    /// *redact level*, and whose event id is of another domain than its target's.
    RedactionNotAllowed,
}

impl AuthRule {
    /// Every rule, in the order in which room version 11 (or the version that has it) lists it.
    pub const ALL: &'static [Self] = &[
        Self::CreateHasPrevEvents,
        Self::CreateRoomIdDomain,
        Self::CreateHasRoomId,
        Self::CreateRoomVersion,
        Self::CreateWithoutCreator,
        Self::CreateAdditionalCreators,
        Self::RoomIdNotCreateEvent,
        Self::AuthEventsDuplicate,
        Self::AuthEventsNotSelected,
        Self::AuthEventsRejected,
        Self::AuthEventsWithoutCreate,
        Self::AuthEventsOtherRoom,
        Self::NotFederated,
        Self::AliasesWithoutStateKey,
        Self::AliasesStateKeyDomain,
        Self::MemberIncomplete,
        Self::MemberAuthorisingSignature,
        Self::JoinSenderNotTarget,
        Self::JoinBanned,
        Self::JoinNotAuthorised,
        Self::JoinNotAllowed,
        Self::ThirdPartyInviteBanned,
        Self::ThirdPartyInviteNotSigned,
        Self::ThirdPartyInviteIncomplete,
        Self::ThirdPartyInviteOtherUser,
        Self::ThirdPartyInviteUnknownToken,
        Self::ThirdPartyInviteOtherSender,
        Self::ThirdPartyInviteSignature,
        Self::InviteSenderNotJoined,
        Self::InviteTargetJoinedOrBanned,
        Self::InvitePower,
        Self::LeaveNotInRoom,
        Self::KickSenderNotJoined,
        Self::UnbanPower,
        Self::KickPower,
        Self::BanSenderNotJoined,
        Self::BanPower,
        Self::KnockNotAllowed,
        Self::KnockSenderNotTarget,
        Self::KnockMembership,
        Self::MembershipUnknown,
        Self::SenderNotJoined,
        Self::ThirdPartyInvitePower,
        Self::RequiredPower,
        Self::StateKeyOtherUser,
        Self::PowerLevelsProperty,
        Self::PowerLevelsMap,
        Self::PowerLevelsUsers,
        Self::PowerLevelsCreator,
        Self::PropertyCurrent,
        Self::PropertyNew,
        Self::EntryCurrent,
        Self::EntryNew,
        Self::UserCurrent,
        Self::UserNew,
        Self::RedactionNotAllowed,
    ];

    /// The number of the rule in the specification of a room version, such as `4.3.5.2`; `None`
    /// when that version has no such rule.
    ///
    /// ```
    /// use freehold_event::RoomVersion;
    /// use freehold_event_auth::AuthRule;
    ///
    /// let number = |version| AuthRule::JoinNotAuthorised.number(version).map(|n| n.to_string());
    /// assert_eq!(number(RoomVersion::V7), None);
    /// assert_eq!(number(RoomVersion::V11).as_deref(), Some("4.3.5.2"));
    /// assert_eq!(number(RoomVersion::V12).as_deref(), Some("5.3.5.2"));
    /// ```
    pub fn number(self, version: &RoomVersion) -> Option<RuleNumber> {
        let chapters = Chapters::of(&version.rules().authorization);
        self.create_number(&chapters)
            .or_else(|| self.auth_events_number(&chapters))
            .or_else(|| self.join_number(&chapters))
            .or_else(|| self.invite_number(&chapters))
            .or_else(|| self.leave_ban_knock_number(&chapters))
            .or_else(|| self.general_number(&chapters))
            .or_else(|| self.power_levels_number(&chapters))
    }

    fn create_number(self, chapters: &Chapters) -> Option<RuleNumber> {
        let rules = chapters.rules;
        let (item, exists) = match self {
            Self::CreateHasPrevEvents => (1, true),
            Self::CreateRoomIdDomain => (2, !rules.room_create_event_id_as_room_id),
            Self::CreateHasRoomId => (2, rules.room_create_event_id_as_room_id),
            Self::CreateRoomVersion => (3, true),
            Self::CreateWithoutCreator => (4, !rules.use_room_create_sender),
            Self::CreateAdditionalCreators => (4, rules.additional_room_creators),
            _ => return None,
        };
        exists.then(|| RuleNumber::of(&[1, item]))
    }

    fn auth_events_number(self, chapters: &Chapters) -> Option<RuleNumber> {
        let room_id_is_hash = chapters.rules.room_create_event_id_as_room_id;
        let chapter = chapters.auth_events;
        match self {
            Self::RoomIdNotCreateEvent => room_id_is_hash.then(|| RuleNumber::of(&[2])),
            Self::AuthEventsDuplicate => Some(RuleNumber::of(&[chapter, 1])),
            Self::AuthEventsNotSelected => Some(RuleNumber::of(&[chapter, 2])),
            Self::AuthEventsRejected => Some(RuleNumber::of(&[chapter, 3])),
            Self::AuthEventsWithoutCreate => (!room_id_is_hash).then(|| RuleNumber::of(&[chapter, 4])),
            // Room version 12 dropped item 4 without renumbering.
            Self::AuthEventsOtherRoom => Some(RuleNumber::of(&[chapter, 5])),
            _ => None,
        }
    }

    fn join_number(self, chapters: &Chapters) -> Option<RuleNumber> {
        let restricted = chapters.rules.restricted_join_rule;
        let join = [chapters.member, chapters.join];
        let number = |item: &[u8]| RuleNumber::of(&join).then(item);
        match self {
            Self::MemberIncomplete => Some(RuleNumber::of(&[chapters.member, 1])),
            Self::MemberAuthorisingSignature => restricted.then(|| RuleNumber::of(&[chapters.member, 2, 1])),
            Self::JoinSenderNotTarget => Some(number(&[2])),
            Self::JoinBanned => Some(number(&[3])),
            Self::JoinNotAuthorised => restricted.then(|| number(&[5, 2])),
            Self::JoinNotAllowed => Some(number(&[if restricted { 7 } else { 6 }])),
            _ => None,
        }
    }

    fn invite_number(self, chapters: &Chapters) -> Option<RuleNumber> {
        let item: &[u8] = match self {
            Self::ThirdPartyInviteBanned => &[1, 1],
            Self::ThirdPartyInviteNotSigned => &[1, 2],
            Self::ThirdPartyInviteIncomplete => &[1, 3],
            Self::ThirdPartyInviteOtherUser => &[1, 4],
            Self::ThirdPartyInviteUnknownToken => &[1, 5],
            Self::ThirdPartyInviteOtherSender => &[1, 6],
            Self::ThirdPartyInviteSignature => &[1, 8],
            Self::InviteSenderNotJoined => &[2],
            Self::InviteTargetJoinedOrBanned => &[3],
            Self::InvitePower => &[5],
            _ => return None,
        };
        Some(RuleNumber::of(&[chapters.member, chapters.join + 1]).then(item))
    }

    fn leave_ban_knock_number(self, chapters: &Chapters) -> Option<RuleNumber> {
        let knocking = chapters.rules.knocking;
        let leave = chapters.join + 2;
        let ban = chapters.join + 3;
        let knock = chapters.join + 4;
        let (section, item, exists) = match self {
            Self::LeaveNotInRoom => (leave, 1, true),
            Self::KickSenderNotJoined => (leave, 2, true),
            Self::UnbanPower => (leave, 3, true),
            Self::KickPower => (leave, 5, true),
            Self::BanSenderNotJoined => (ban, 1, true),
            Self::BanPower => (ban, 3, true),
            Self::KnockNotAllowed => (knock, 1, knocking),
            Self::KnockSenderNotTarget => (knock, 2, knocking),
            Self::KnockMembership => (knock, 4, knocking),
            Self::MembershipUnknown => {
                let last = if knocking { knock + 1 } else { knock };
                return Some(RuleNumber::of(&[chapters.member, last]));
            }
            _ => return None,
        };
        exists.then(|| RuleNumber::of(&[chapters.member, section, item]))
    }

    fn general_number(self, chapters: &Chapters) -> Option<RuleNumber> {
        let rules = chapters.rules;
        let (number, exists): (&[u8], bool) = match self {
            Self::NotFederated => (&[chapters.auth_events + 1], true),
            Self::AliasesWithoutStateKey => (&[4, 1], rules.special_case_room_aliases),
            Self::AliasesStateKeyDomain => (&[4, 2], rules.special_case_room_aliases),
            Self::SenderNotJoined => (&[chapters.member + 1], true),
            Self::ThirdPartyInvitePower => (&[chapters.member + 2, 1], true),
            Self::RequiredPower => (&[chapters.member + 3], true),
            Self::StateKeyOtherUser => (&[chapters.member + 4], true),
            Self::RedactionNotAllowed => {
                (&[chapters.power_levels() + 1, 3], rules.special_case_room_redaction)
            }
            _ => return None,
        };
        exists.then(|| RuleNumber::of(number))
    }

    fn power_levels_number(self, chapters: &Chapters) -> Option<RuleNumber> {
        let rules = chapters.rules;
        let integers = rules.integer_power_levels;
        let creators = rules.explicitly_privilege_room_creators;
        // The item "there is no previous `m.room.power_levels` event".
        let first = 2 + if integers { 2 } else { 0 } + u8::from(creators);
        let item: &[u8] = match self {
            Self::PowerLevelsProperty => &[1],
            Self::PowerLevelsMap => &[if integers { 2 } else { 1 }],
            Self::PowerLevelsUsers => &[if integers { 3 } else { 1 }],
            Self::PowerLevelsCreator if creators => &[4],
            Self::PropertyCurrent => &[first + 1, 1],
            Self::PropertyNew => &[first + 1, 2],
            Self::EntryCurrent => &[first + 2, 1],
            Self::EntryNew => &[first + 3, 1],
            Self::UserCurrent => &[first + 4, 1],
            Self::UserNew => &[first + 5, 1],
            _ => return None,
        };
        Some(RuleNumber::of(&[chapters.power_levels()]).then(item))
    }
}

/// Where the lists of a room version begin: what makes the numbers move.
struct Chapters<'a> {
    rules: &'a AuthorizationRules,
    /// "Considering the event's `auth_events`".
    auth_events: u8,
    /// "If type is `m.room.member`".
    member: u8,
    /// "If `membership` is `join`", inside the list on `m.room.member`.
    join: u8,
}

impl<'a> Chapters<'a> {
    fn of(rules: &'a AuthorizationRules) -> Self {
        let auth_events = 2 + u8::from(rules.room_create_event_id_as_room_id);
        Self {
            rules,
            auth_events,
            member: auth_events + 2 + u8::from(rules.special_case_room_aliases),
            join: 2 + u8::from(rules.restricted_join_rule),
        }
    }

    fn power_levels(&self) -> u8 {
        self.member + 5
    }
}

/// The number of a rule, such as `4.3.5.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleNumber {
    /// Zero where the number is shorter.
    parts: [u8; 4],
}

impl RuleNumber {
    fn of(parts: &[u8]) -> Self {
        Self { parts: [0; 4] }.then(parts)
    }

    /// This number with more parts behind it.
    fn then(mut self, more: &[u8]) -> Self {
        let free = self.parts.iter_mut().filter(|part| **part == 0);
        for (part, value) in free.zip(more) {
            *part = *value;
        }
        self
    }
}

impl fmt::Display for RuleNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for part in self.parts.into_iter().filter(|part| *part != 0) {
            write!(f, "{separator}{part}")?;
            separator = ".";
        }
        Ok(())
    }
}
