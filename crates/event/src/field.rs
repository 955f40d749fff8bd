//! The members of a PDU that the specification gives a meaning to.

use std::fmt;

use freehold_canonical_json::{CanonicalMember, CanonicalObject};

/// A top-level member of a PDU with a meaning in some room version.
///
/// Whatever else a PDU carries is kept, hashed and forwarded untouched, but never looked at.
// INVARIANT: in the order of their names, which is the order of canonical JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `auth_events`: the events that authorise this one.
    AuthEvents,
    /// `content`: what the event says.
    Content,
    /// `depth`: one more than the greatest depth among `prev_events`.
    Depth,
    /// `event_id`: only in room versions 1 and 2.
    EventId,
    /// `hashes`: the content hash.
    Hashes,
    /// `membership`: kept by the redaction algorithms before room version 11.
    Membership,
    /// `origin`: kept by the redaction algorithms before room version 11.
    Origin,
    /// `origin_server_ts`: when the event was made.
    OriginServerTs,
    /// `prev_events`: the events immediately before this one.
    PrevEvents,
    /// `prev_state`: kept by the redaction algorithms before room version 11.
    PrevState,
    /// `redacts`: the target of a redaction before room version 11.
    Redacts,
    /// `room_id`: absent from the create event of room version 12.
    RoomId,
    /// `sender`: the user who sent the event.
    Sender,
    /// `signatures`: by server name and key id.
    Signatures,
    /// `state_key`: present on state events.
    StateKey,
    /// `type`: the event type.
    Type,
    /// `unsigned`: what no signature covers.
    Unsigned,
}

impl Field {
    /// Every field, in the order of canonical JSON.
    pub const ALL: [Self; 17] = [
        Self::AuthEvents,
        Self::Content,
        Self::Depth,
        Self::EventId,
        Self::Hashes,
        Self::Membership,
        Self::Origin,
        Self::OriginServerTs,
        Self::PrevEvents,
        Self::PrevState,
        Self::Redacts,
        Self::RoomId,
        Self::Sender,
        Self::Signatures,
        Self::StateKey,
        Self::Type,
        Self::Unsigned,
    ];

    /// The name of the member in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthEvents => "auth_events",
            Self::Content => "content",
            Self::Depth => "depth",
            Self::EventId => "event_id",
            Self::Hashes => "hashes",
            Self::Membership => "membership",
            Self::Origin => "origin",
            Self::OriginServerTs => "origin_server_ts",
            Self::PrevEvents => "prev_events",
            Self::PrevState => "prev_state",
            Self::Redacts => "redacts",
            Self::RoomId => "room_id",
            Self::Sender => "sender",
            Self::Signatures => "signatures",
            Self::StateKey => "state_key",
            Self::Type => "type",
            Self::Unsigned => "unsigned",
        }
    }

    /// The field with this name, `None` for a member without a meaning.
    pub fn find(name: &str) -> Option<Self> {
        Some(match name {
            "auth_events" => Self::AuthEvents,
            "content" => Self::Content,
            "depth" => Self::Depth,
            "event_id" => Self::EventId,
            "hashes" => Self::Hashes,
            "membership" => Self::Membership,
            "origin" => Self::Origin,
            "origin_server_ts" => Self::OriginServerTs,
            "prev_events" => Self::PrevEvents,
            "prev_state" => Self::PrevState,
            "redacts" => Self::Redacts,
            "room_id" => Self::RoomId,
            "sender" => Self::Sender,
            "signatures" => Self::Signatures,
            "state_key" => Self::StateKey,
            "type" => Self::Type,
            "unsigned" => Self::Unsigned,
            _ => return None,
        })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The fields of one event, found in one pass over its members.
pub(crate) struct FieldMap<'t> {
    /// By [`Field`] as a number.
    members: [Option<CanonicalMember<'t>>; Field::ALL.len()],
}

impl<'t> FieldMap<'t> {
    pub(crate) fn of(object: &'t CanonicalObject) -> Self {
        let mut members = [None; Field::ALL.len()];
        for member in object.iter() {
            let slot = Field::find(&member.key()).and_then(|field| members.get_mut(field as usize));
            if let Some(slot) = slot {
                *slot = Some(member);
            }
        }
        Self { members }
    }

    pub(crate) fn get(&self, field: Field) -> Option<CanonicalMember<'t>> {
        self.members.get(field as usize).copied().flatten()
    }

    /// The fields that are there, in the order of canonical JSON.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Field, CanonicalMember<'t>)> {
        let members = Field::ALL.iter().zip(&self.members);
        members.filter_map(|(field, member)| member.map(|member| (*field, member)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_in_the_order_of_canonical_json_and_found_by_their_names() {
        assert!(Field::ALL.is_sorted_by_key(|field| field.name()));
        for (index, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, index);
            assert_eq!(Field::find(field.name()), Some(field));
            assert_eq!(field.to_string(), field.name());
        }
        for name in ["", "Type", "types", "org.example.type"] {
            assert_eq!(Field::find(name), None);
        }
    }
}
