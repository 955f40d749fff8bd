//! Our view of an event as the event that ruma-state-res asks for (feature `ruma`).

use std::{
    borrow::Borrow,
    fmt::{Debug, Display},
    hash::Hash,
};

use freehold_event::EventView;
use ruma_common::{EventId, MilliSecondsSinceUnixEpoch, OwnedRoomId, OwnedUserId, RoomId, UserId};
use ruma_events::{StateEventType, TimelineEventType};
use ruma_state_res::Event;
use serde_json::value::RawValue;

/// An event for ruma, with everything that ruma reads from it prepared.
///
/// `Id` is what ruma names events by: [`OwnedEventId`](ruma_common::OwnedEventId), or `&EventId`, which is the fastest.
#[derive(Clone, Debug)]
pub struct RumaEvent<Id> {
    event_id: Id,
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    event_type: TimelineEventType,
    state_event_type: StateEventType,
    state_key: Option<String>,
    content: Box<RawValue>,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    prev_events: Vec<Id>,
    auth_events: Vec<Id>,
    redacts: Option<Id>,
    rejected: bool,
}

impl<Id: Clone> RumaEvent<Id> {
    /// The same event for ruma; `None` when it has an identifier that ruma does not accept.
    pub fn of<'a, Key: AsRef<str>>(
        view: &EventView<'a, Key>,
        id: impl Fn(&'a str) -> Option<Id>,
    ) -> Option<Self> {
        let ids = |ids: &'a [Key]| ids.iter().map(|key| id(key.as_ref())).collect::<Option<Vec<_>>>();
        Some(Self {
            event_id: id(view.event_id)?,
            room_id: view.room_id.map(RoomId::parse).transpose().ok()?,
            sender: UserId::parse(view.sender).ok()?,
            event_type: view.event_type.into(),
            state_event_type: view.event_type.into(),
            state_key: view.state_key.map(str::to_owned),
            content: RawValue::from_string(view.content.to_owned()).ok()?,
            origin_server_ts: serde_json::from_value(view.origin_server_ts.into()).ok()?,
            prev_events: ids(view.prev_events)?,
            auth_events: ids(view.auth_events)?,
            redacts: view.redacts.and_then(id),
            rejected: view.rejected,
        })
    }

    /// The event's id.
    pub fn id(&self) -> Id {
        self.event_id.clone()
    }

    /// Whether this is the state event of the given type and state key.
    pub fn is_state(&self, event_type: &StateEventType, state_key: &str) -> bool {
        self.state_key.as_deref() == Some(state_key) && self.state_event_type == *event_type
    }
}

impl<Id: Clone + Debug + Display + Eq + Ord + Hash + Borrow<EventId>> Event for RumaEvent<Id> {
    type Id = Id;

    fn event_id(&self) -> &Id {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.room_id.as_deref()
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Id> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Id> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&Id> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}
