//! What authorisation rules and state resolution see of an event.

use std::{collections::BTreeMap, fmt::Debug, hash::Hash};

use ruma_common::OwnedEventId;

use crate::{membership::MemberSummary, pdu::Pdu};

/// A borrowed view of one event: the only shape in which authorisation rules and state
/// resolution see events.
///
/// It is a plain struct of references, so that a server with an event type of its own builds it
/// for free. `Id` is that server's own key for an event: the event id, an interned integer, a
/// pointer into an arena.
///
/// # Example
///
/// ```
/// use freehold_event::EventView;
///
/// let view = EventView {
///     id: &7_u64,
///     event_id: "$topic",
///     room_id: Some("!room:example.org"),
///     event_type: "m.room.topic",
///     state_key: Some(""),
///     sender: "@alice:example.org",
///     content: r#"{"topic":"gardening"}"#,
///     origin_server_ts: 1_700_000_000_000,
///     depth: 12,
///     prev_events: &[6],
///     auth_events: &[1, 2, 3],
///     redacts: None,
///     rejected: false,
/// };
/// assert!(view.is_state("m.room.topic", ""));
/// assert_eq!(view.sender_server(), Some("example.org"));
/// ```
#[derive(Debug)]
pub struct EventView<'a, Id> {
    /// The caller's own key for the event.
    pub id: &'a Id,
    /// The event id, `$…`.
    pub event_id: &'a str,
    /// The room id, `!…`; `None` only on an `m.room.create` event of a room version that derives
    /// the room id from that event (12).
    pub room_id: Option<&'a str>,
    /// The event type, such as `m.room.member`.
    pub event_type: &'a str,
    /// The state key, `None` when the event is not a state event.
    pub state_key: Option<&'a str>,
    /// The user id of the sender.
    pub sender: &'a str,
    /// The JSON text of the `content` object.
    pub content: &'a str,
    /// When the sender's server made the event, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
    /// The depth that the sender's server claims.
    pub depth: i64,
    /// The events that came immediately before this one.
    pub prev_events: &'a [Id],
    /// The events that authorise this one.
    pub auth_events: &'a [Id],
    /// The target of a redaction, wherever the room version puts it.
    pub redacts: Option<&'a str>,
    /// Whether the event was rejected on receipt: by the authorisation rules against its own
    /// `auth_events`, or against the state before it.
    pub rejected: bool,
}

// By hand: a view is a bundle of references and can be copied whatever `Id` is.
impl<Id> Clone for EventView<'_, Id> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Id> Copy for EventView<'_, Id> {}

impl<'a, Id> EventView<'a, Id> {
    /// Whether this is the state event of the given type and state key.
    pub fn is_state(&self, event_type: &str, state_key: &str) -> bool {
        self.event_type == event_type && self.state_key == Some(state_key)
    }

    /// The server name of the sender, `None` when the sender is not a user id.
    pub fn sender_server(&self) -> Option<&'a str> {
        server_name_of(self.sender)
    }

    /// The same event as a server sees it that knows events under keys of another kind.
    ///
    /// ```
    /// # use freehold_event::{Pdu, RoomVersion};
    /// # let event = br#"{"auth_events":[],"content":{},"depth":1,
    /// #     "hashes":{"sha256":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"},"origin_server_ts":1,
    /// #     "prev_events":[],"room_id":"!a:example.org","sender":"@a:example.org","signatures":{},
    /// #     "type":"m.room.message"}"#;
    /// # let pdu = Pdu::parse(event, RoomVersion::V11)?;
    /// // The event is stored as number 7; before it came number 6.
    /// let view = pdu.view().with_ids(&7_u64, &[6], &[1, 2, 3]);
    /// assert_eq!((view.id, view.event_id), (&7, pdu.event_id().as_str()));
    /// # Ok::<(), freehold_event::FormatError>(())
    /// ```
    pub fn with_ids<Other>(
        &self,
        id: &'a Other,
        prev_events: &'a [Other],
        auth_events: &'a [Other],
    ) -> EventView<'a, Other> {
        EventView {
            id,
            prev_events,
            auth_events,
            event_id: self.event_id,
            room_id: self.room_id,
            event_type: self.event_type,
            state_key: self.state_key,
            sender: self.sender,
            content: self.content,
            origin_server_ts: self.origin_server_ts,
            depth: self.depth,
            redacts: self.redacts,
            rejected: self.rejected,
        }
    }
}

/// Where authorisation rules and state resolution look events up.
///
/// One small trait: a server implements it over whatever it has prefetched. It is synchronous on
/// purpose; whoever keeps events in a slow store loads what is needed first. Only
/// [`EventSource::event`] is necessary; the rest is for those who keep more.
pub trait EventSource {
    /// The key by which this source knows its events. Its order has no influence on any result.
    type Id: Clone + Ord + Hash + Debug;

    /// The event with the given key, `None` when this source does not have it.
    fn event(&self, id: &Self::Id) -> Option<EventView<'_, Self::Id>>;

    /// The length of the longest path over `auth_events` from the event to an event without
    /// `auth_events`; `None` when this source does not know it, and then it is computed.
    ///
    /// A number returned here must be right: resolution walks auth chains in this order.
    fn generation(&self, id: &Self::Id) -> Option<u64> {
        let _ = id;
        None
    }

    /// A number for the type and state key of the event: two state events have the same number exactly
    /// when both their types and their state keys are the same. `None` when this source gives no
    /// numbers, and then the texts are compared.
    fn key_number(&self, id: &Self::Id) -> Option<u64> {
        let _ = id;
        None
    }

    /// [`MemberSummary::of`] the event, kept since it was stored; `None` when this source does not keep
    /// it, or there is none, and then the event is read.
    fn member_summary(&self, id: &Self::Id) -> Option<MemberSummary> {
        let _ = id;
        None
    }
}

impl<S: EventSource + ?Sized> EventSource for &S {
    type Id = S::Id;

    fn event(&self, id: &Self::Id) -> Option<EventView<'_, Self::Id>> {
        (**self).event(id)
    }

    fn generation(&self, id: &Self::Id) -> Option<u64> {
        (**self).generation(id)
    }

    fn key_number(&self, id: &Self::Id) -> Option<u64> {
        (**self).key_number(id)
    }

    fn member_summary(&self, id: &Self::Id) -> Option<MemberSummary> {
        (**self).member_summary(id)
    }
}

/// For those who have no event type of their own.
impl EventSource for BTreeMap<OwnedEventId, Pdu> {
    type Id = OwnedEventId;

    fn event(&self, id: &OwnedEventId) -> Option<EventView<'_, OwnedEventId>> {
        self.get(id).map(Pdu::view)
    }
}

/// The server name in an identifier with a domain: everything after the first `:`.
///
/// For a user id that is its server in every case, historical localparts included, because
/// [a localpart never contains `:`](https://spec.matrix.org/v1.19/appendices/#user-identifiers).
/// Also right for room ids, aliases and event ids that carry a domain. `None` when there is no `:`.
///
/// ```
/// use freehold_event::server_name_of;
///
/// assert_eq!(server_name_of("@alice:example.org:8448"), Some("example.org:8448"));
/// assert_eq!(server_name_of("@alice"), None);
/// ```
pub fn server_name_of(id: &str) -> Option<&str> {
    id.split_once(':').map(|(_, server_name)| server_name)
}

/// The server name of what is shaped like a user ID: a `@`, and a server name behind a `:`.
///
/// Not every such text is a valid
/// [user ID](https://spec.matrix.org/v1.19/appendices/#user-identifiers), but rooms hold
/// historical ones, and this is all that authorisation asks of a member's state key.
///
/// ```
/// use freehold_event::server_name_of_user;
///
/// assert_eq!(server_name_of_user("@alice:example.org"), Some("example.org"));
/// assert_eq!(server_name_of_user("alice:example.org"), None);
/// assert_eq!(server_name_of_user("@alice:"), None);
/// ```
pub fn server_name_of_user(id: &str) -> Option<&str> {
    server_name_of(id.strip_prefix('@')?).filter(|server_name| !server_name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_name_is_what_follows_the_first_colon() {
        for (id, expected) in [
            ("@alice:example.org", Some("example.org")),
            ("@:example.org", Some("example.org")),
            ("@alice:[::1]:8448", Some("[::1]:8448")),
            ("!room:example.org:443", Some("example.org:443")),
            ("@alice:", Some("")),
            ("@alice", None),
            ("", None),
        ] {
            assert_eq!(server_name_of(id), expected, "{id}");
        }
    }
}
