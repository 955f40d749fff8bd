//! Keys of the room state, told apart by what authorisation asks for.

use freehold_event::EventView;

/// The key of a state event. Almost all lookups are for the first four, which need no comparison
/// of event types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key<'k> {
    Create,
    PowerLevels,
    JoinRules,
    /// The member event of a user.
    Member(&'k str),
    Other(&'k str, &'k str),
}

impl<'k> Key<'k> {
    pub(crate) fn new(event_type: &'k str, state_key: &'k str) -> Self {
        match (event_type, state_key) {
            ("m.room.member", user_id) => Self::Member(user_id),
            ("m.room.create", "") => Self::Create,
            ("m.room.power_levels", "") => Self::PowerLevels,
            ("m.room.join_rules", "") => Self::JoinRules,
            _ => Self::Other(event_type, state_key),
        }
    }

    /// The key of a state event, `None` for one without a state key.
    pub(crate) fn of<Id>(event: &EventView<'k, Id>) -> Option<Self> {
        Some(Self::new(event.event_type, event.state_key?))
    }

    /// The event type and the state key.
    pub(crate) const fn names(self) -> (&'k str, &'k str) {
        match self {
            Self::Create => ("m.room.create", ""),
            Self::PowerLevels => ("m.room.power_levels", ""),
            Self::JoinRules => ("m.room.join_rules", ""),
            Self::Member(user_id) => ("m.room.member", user_id),
            Self::Other(event_type, state_key) => (event_type, state_key),
        }
    }

    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Create => Kind::Create,
            Self::PowerLevels => Kind::PowerLevels,
            Self::JoinRules => Kind::JoinRules,
            Self::Member(_) => Kind::Member,
            Self::Other(..) => Kind::Other,
        }
    }
}

/// The number of a conflicted key: the state that is being built is an array over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyNumber(u32);

impl KeyNumber {
    /// There are no more keys than events, whose nodes are `u32`s too.
    pub(crate) fn new(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }

    pub(crate) const fn position(self) -> usize {
        self.0 as usize
    }
}

/// What sort of key an event has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    PowerLevels,
    JoinRules,
    Member,
    Other,
    /// None: not a state event, or not read.
    #[default]
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_back_the_names_it_was_made_of() {
        for names in [
            ("m.room.create", ""),
            ("m.room.create", "x"),
            ("m.room.power_levels", ""),
            ("m.room.power_levels", "x"),
            ("m.room.join_rules", ""),
            ("m.room.join_rules", "x"),
            ("m.room.member", ""),
            ("m.room.member", "@alice:example.org"),
            ("m.room.topic", ""),
            ("", ""),
        ] {
            assert_eq!(Key::new(names.0, names.1).names(), names);
        }
        assert_eq!(Key::new("m.room.power_levels", "x").kind(), Kind::Other);
    }
}
