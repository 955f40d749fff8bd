//! The create event: what it tells the rules, and the rules on itself.

use freehold_canonical_json::string_member;
use freehold_event::{EventView, RoomVersion, server_name_of};

use crate::{AuthRule, Denial, content};

/// What an `m.room.create` event says to the rules, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomCreate {
    sender: Box<str>,
    /// The user that may join as the first, see [`RoomCreate::creator`].
    creator: Option<Box<str>>,
    /// Sorted.
    additional_creators: Vec<Box<str>>,
    federate: bool,
    privileged: bool,
}

impl RoomCreate {
    /// Reads an `m.room.create` event of a room of the given version.
    ///
    /// Nothing is rejected here: whether the event itself is in order is decided by
    /// [`check`](crate::check).
    pub fn new<Id>(event: &EventView<'_, Id>, version: &RoomVersion) -> Self {
        let rules = &version.rules().authorization;
        let creator = if rules.use_room_create_sender {
            Some(event.sender.into())
        } else {
            string_member(event.content, "creator").map(Box::from)
        };
        let additional_creators =
            if rules.additional_room_creators { additional_creators(event.content) } else { Vec::new() };
        Self {
            sender: event.sender.into(),
            creator,
            additional_creators,
            federate: content::raw_member(event.content, "m.federate")
                .is_none_or(|federate| federate.as_bool() != Some(false)),
            privileged: rules.explicitly_privilege_room_creators,
        }
    }

    /// The sender of the create event.
    pub fn sender(&self) -> &str {
        &self.sender
    }

    /// The creator: the sender, or until room version 10 `content.creator`, which may be missing.
    pub fn creator(&self) -> Option<&str> {
        self.creator.as_deref()
    }

    /// Whether a user is among the
    /// [room creators](https://spec.matrix.org/v1.19/rooms/v12/#event-format): the creator, or from
    /// room version 12 one of `content.additional_creators`.
    pub fn is_creator(&self, user_id: &str) -> bool {
        self.creator() == Some(user_id)
            || self.additional_creators.binary_search_by(|creator| (**creator).cmp(user_id)).is_ok()
    }

    /// Whether power levels do not bind the creators, as from room version 12 on.
    pub fn privileges_creators(&self) -> bool {
        self.privileged
    }

    /// Whether servers other than the sender's may take part: not so when `m.federate` is
    /// `false`, and nothing but the JSON value `false`.
    pub fn federates(&self) -> bool {
        self.federate
    }
}

/// Whether an identifier is a valid
/// [user ID](https://spec.matrix.org/v1.19/appendices/#user-identifiers) for a `sender`, historical
/// ones included.
pub(crate) fn is_user_id(id: &str) -> bool {
    <&ruma_common::UserId>::try_from(id).is_ok()
}

/// Sorted; without what is no string, which only stands in a create event that is rejected.
fn additional_creators(content: &str) -> Vec<Box<str>> {
    let mut creators: Vec<Box<str>> = content::elements_of(content, "additional_creators")
        .filter_map(|creator| creator.as_str().map(Box::from))
        .collect();
    creators.sort_unstable();
    creators
}

/// Rule 1: "if type is `m.room.create`".
pub(crate) fn check_create<Id>(
    event: &EventView<'_, Id>,
    version: &'static RoomVersion,
) -> Result<(), Denial> {
    let rules = &version.rules().authorization;
    let deny = |rule| Err(Denial::new(rule, version, None));
    // 1.1 "If it has any `prev_events`, reject."
    if !event.prev_events.is_empty() {
        return deny(AuthRule::CreateHasPrevEvents);
    }
    if rules.room_create_event_id_as_room_id {
        // 1.2 [12] "If the event has a `room_id`, reject."
        if event.room_id.is_some() {
            return deny(AuthRule::CreateHasRoomId);
        }
    } else {
        // 1.2 [1-11] "If the domain of the `room_id` does not match the domain of the `sender`,
        // reject."
        let room_domain = event.room_id.and_then(server_name_of);
        if room_domain.is_none() || room_domain != event.sender_server() {
            return deny(AuthRule::CreateRoomIdDomain);
        }
    }
    // 1.3 "If `content.room_version` is present and is not a recognised version, reject."
    if !names_recognised_version(event.content, version) {
        return deny(AuthRule::CreateRoomVersion);
    }
    // 1.4 [1-10] "If `content` has no `creator` property, reject." `null` is none: Synapse and
    // ruma-state-res agree on it.
    if !rules.use_room_create_sender
        && content::raw_member(event.content, "creator").is_none_or(|value| value.is_null())
    {
        return deny(AuthRule::CreateWithoutCreator);
    }
    // 1.4 [12] "If `additional_creators` is present in `content` and is not an array of strings
    // where each string passes the same user ID validation applied to `sender`, reject."
    if rules.additional_room_creators && !additional_creators_are_valid(event.content) {
        return deny(AuthRule::CreateAdditionalCreators);
    }
    Ok(())
}

/// A version is recognised when the caller checks by it, or when the specification has it.
fn names_recognised_version(content: &str, version: &RoomVersion) -> bool {
    content::raw_member(content, "room_version").is_none_or(|named| {
        named.as_str().is_some_and(|id| *id == *version.id() || RoomVersion::find(&id).is_some())
    })
}

fn additional_creators_are_valid(content: &str) -> bool {
    let Some(value) = content::raw_member(content, "additional_creators") else {
        return true;
    };
    value.as_array().is_some_and(|mut list| {
        list.all(|creator| {
            creator.ok().and_then(|creator| creator.as_str()).is_some_and(|id| is_user_id(&id))
        })
    })
}
