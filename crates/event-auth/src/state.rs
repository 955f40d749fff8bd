//! The facts of a room's state that the rules look at.

use freehold_event::Membership;

use crate::{PowerLevels, RoomCreate};

/// The part of a room's state that authorisation looks at, already read.
///
/// The rules ask for facts, not for events, so that power levels are parsed once and not once per
/// check. [`PreparedState`](crate::PreparedState) is the ready-made implementation; state
/// resolution implements the trait over its own caches.
///
/// Every answer names the event it was read from. An event that is in the state but says nothing
/// usable is still an answer ([`Membership::Other`], [`JoinRule::Other`]); `None` means that the
/// state has no such event.
pub trait AuthState {
    /// The caller's key for an event, as in [`EventView`](freehold_event::EventView).
    type Id;

    /// The `m.room.create` event.
    ///
    /// In room version 12 no event lists it in its `auth_events`; it must be supplied all the
    /// same, found by the room id.
    fn create(&self) -> Option<Fact<'_, &RoomCreate>>;

    /// Whether the given event is the `m.room.create` event of [`AuthState::create`].
    fn is_create(&self, id: &Self::Id) -> bool;

    /// The `m.room.power_levels` event.
    fn power_levels(&self) -> Option<Fact<'_, &PowerLevels>>;

    /// The `m.room.join_rules` event.
    fn join_rule(&self) -> Option<Fact<'_, JoinRule>>;

    /// The `m.room.member` event of a user.
    fn membership(&self, user_id: &str) -> Option<Fact<'_, Membership>>;

    /// The `m.room.third_party_invite` event with this token as its state key.
    fn third_party_invite(&self, token: &str) -> Option<Fact<'_, ThirdPartyInvite<'_>>>;
}

impl<S: AuthState + ?Sized> AuthState for &S {
    type Id = S::Id;

    fn create(&self) -> Option<Fact<'_, &RoomCreate>> {
        (**self).create()
    }

    fn is_create(&self, id: &Self::Id) -> bool {
        (**self).is_create(id)
    }

    fn power_levels(&self) -> Option<Fact<'_, &PowerLevels>> {
        (**self).power_levels()
    }

    fn join_rule(&self) -> Option<Fact<'_, JoinRule>> {
        (**self).join_rule()
    }

    fn membership(&self, user_id: &str) -> Option<Fact<'_, Membership>> {
        (**self).membership(user_id)
    }

    fn third_party_invite(&self, token: &str) -> Option<Fact<'_, ThirdPartyInvite<'_>>> {
        (**self).third_party_invite(token)
    }
}

/// Something the state says, and the event that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact<'a, T> {
    /// What the state says.
    pub value: T,
    /// The id of the event that says it.
    pub event_id: &'a str,
}

/// The `join_rule` of an
/// [`m.room.join_rules`](https://spec.matrix.org/v1.19/client-server-api/#mroomjoin_rules) event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinRule {
    /// `public`
    Public,
    /// `invite`
    Invite,
    /// `knock`, which means something from room version 7 on.
    Knock,
    /// `restricted`, which means something from room version 8 on.
    Restricted,
    /// `knock_restricted`, which means something from room version 10 on.
    KnockRestricted,
    /// Any other value, such as `private`: nobody can join.
    Other,
}

impl JoinRule {
    /// Reads the value of the `join_rule` property.
    pub fn parse(join_rule: &str) -> Self {
        match join_rule {
            "public" => Self::Public,
            "invite" => Self::Invite,
            "knock" => Self::Knock,
            "restricted" => Self::Restricted,
            "knock_restricted" => Self::KnockRestricted,
            _ => Self::Other,
        }
    }

    /// Reads the content of an `m.room.join_rules` event. One that names no rule says `invite`, as
    /// no event does; Synapse takes both so.
    pub fn of_content(content: &str) -> Self {
        let Some(join_rule) = crate::content::raw_member(content, "join_rule") else {
            return Self::Invite;
        };
        join_rule.as_str().map_or(Self::Other, |join_rule| Self::parse(&join_rule))
    }
}

/// What matters of an
/// [`m.room.third_party_invite`](https://spec.matrix.org/v1.19/client-server-api/#mroomthird_party_invite)
/// event. Such events are rare and are read when they are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThirdPartyInvite<'a> {
    /// The sender of the event.
    pub sender: &'a str,
    /// The JSON text of its content, with the public keys.
    pub content: &'a str,
}
