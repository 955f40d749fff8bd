//! Our view of an event as the event that ruma-state-res asks for, with everything that ruma reads prepared.

use freehold_event::{EventView, RoomVersion};
use ruma_common::{EventId, MilliSecondsSinceUnixEpoch, OwnedRoomId, OwnedUserId, RoomId, UserId};
use ruma_events::{StateEventType, TimelineEventType};
use ruma_state_res::{Event, check_state_dependent_auth_rules};
use serde_json::value::RawValue;

/// An event for ruma. Ids are borrowed, which is the fastest that ruma offers.
#[derive(Clone, Debug)]
pub(crate) struct RumaEvent<'a> {
    event_id: &'a EventId,
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    event_type: TimelineEventType,
    state_event_type: StateEventType,
    state_key: Option<&'a str>,
    content: Box<RawValue>,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    prev_events: Vec<&'a EventId>,
    auth_events: Vec<&'a EventId>,
    rejected: bool,
}

impl<'a> RumaEvent<'a> {
    /// The same event for ruma.
    pub(crate) fn new<Id: AsRef<str>>(view: &EventView<'a, Id>) -> Self {
        let ids = |ids: &'a [Id]| ids.iter().map(|id| event_id(id.as_ref())).collect();
        Self {
            event_id: event_id(view.event_id),
            room_id: view.room_id.map(|id| OwnedRoomId::try_from(id).expect("a room id")),
            sender: OwnedUserId::try_from(view.sender).expect("a user id"),
            event_type: view.event_type.into(),
            state_event_type: view.event_type.into(),
            state_key: view.state_key,
            content: RawValue::from_string(view.content.to_owned()).expect("JSON"),
            origin_server_ts: MilliSecondsSinceUnixEpoch(
                view.origin_server_ts.unsigned_abs().try_into().expect("a time"),
            ),
            prev_events: ids(view.prev_events),
            auth_events: ids(view.auth_events),
            rejected: view.rejected,
        }
    }

    /// The event's id.
    pub(crate) fn id(&self) -> &'a EventId {
        self.event_id
    }

    /// ruma's verdict on an event, given a state.
    pub(crate) fn check(event: &Self, state: &[Self], version: &RoomVersion) -> bool {
        let rules = &version.rules().authorization;
        let find = |event_type: &StateEventType, state_key: &str| {
            state.iter().find(|one| one.state_key == Some(state_key) && one.state_event_type == *event_type)
        };
        check_state_dependent_auth_rules(rules, event, find).is_ok()
    }
}

fn event_id(id: &str) -> &EventId {
    <&EventId>::try_from(id).expect("an event id")
}

impl<'a> Event for RumaEvent<'a> {
    type Id = &'a EventId;

    fn event_id(&self) -> &Self::Id {
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
        self.state_key
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Self::Id> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Self::Id> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&Self::Id> {
        None
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}
