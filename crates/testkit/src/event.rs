//! One event of a made-up room, and a pile of them.

use std::collections::BTreeMap;

use freehold_event::{EventSource, EventView};
use serde_json::{Map, Value, json};

/// The key of an entry of the room state: event type and state key.
pub type StateKey = (String, String);

/// The state of a room at some point: which event stands for which key.
pub type StateMap = BTreeMap<StateKey, String>;

/// Events by event id.
pub type Events = BTreeMap<String, RoomEvent>;

/// One event of a made-up room: a plain owned struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomEvent {
    /// The event id.
    pub event_id: String,
    /// The room id; `None` only on the create event of a version that derives the room id from it.
    pub room_id: Option<String>,
    /// The event type.
    pub event_type: String,
    /// The state key of a state event.
    pub state_key: Option<String>,
    /// The user id of the sender.
    pub sender: String,
    /// The JSON text of the content object.
    pub content: String,
    /// Milliseconds since the Unix epoch, as the sender's server claims.
    pub origin_server_ts: i64,
    /// The depth, as the sender's server claims.
    pub depth: i64,
    /// The ids of the events before this one.
    pub prev_events: Vec<String>,
    /// The ids of the events that authorise this one.
    pub auth_events: Vec<String>,
    /// The target of a redaction.
    pub redacts: Option<String>,
    /// Whether the event was rejected on receipt.
    pub rejected: bool,
    /// The whole event in federation format as canonical JSON, hashed and signed; `None` in rooms
    /// that were made without signatures.
    pub pdu: Option<String>,
}

impl RoomEvent {
    /// The content, parsed; an empty object when it is not an object.
    pub fn content_object(&self) -> Map<String, Value> {
        match serde_json::from_str(&self.content) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        }
    }

    /// A member of the content that is a string.
    pub fn content_str(&self, member: &str) -> Option<String> {
        Some(self.content_object().get(member)?.as_str()?.to_owned())
    }

    /// Whether this is the state event of the given type and state key.
    pub fn is_state(&self, event_type: &str, state_key: &str) -> bool {
        self.event_type == event_type && self.state_key.as_deref() == Some(state_key)
    }

    /// The key under which this event enters the room state, `None` for message events.
    pub fn state_map_key(&self) -> Option<StateKey> {
        Some((self.event_type.clone(), self.state_key.clone()?))
    }

    /// The view that authorisation rules and state resolution take.
    pub fn view(&self) -> EventView<'_, String> {
        EventView {
            id: &self.event_id,
            event_id: &self.event_id,
            room_id: self.room_id.as_deref(),
            event_type: &self.event_type,
            state_key: self.state_key.as_deref(),
            sender: &self.sender,
            content: &self.content,
            origin_server_ts: self.origin_server_ts,
            depth: self.depth,
            prev_events: &self.prev_events,
            auth_events: &self.auth_events,
            redacts: self.redacts.as_deref(),
            rejected: self.rejected,
        }
    }

    /// The event as one readable JSON object: the signed PDU with its id and verdict when there is
    /// one, the fields of this struct otherwise. For reports and saved cases, not for the wire.
    pub fn to_report(&self) -> Value {
        let pdu = self.pdu.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let mut report = pdu.unwrap_or_else(|| {
            json!({
                "room_id": self.room_id,
                "type": self.event_type,
                "sender": self.sender,
                "content": self.content_object(),
                "origin_server_ts": self.origin_server_ts,
                "depth": self.depth,
                "prev_events": self.prev_events,
                "auth_events": self.auth_events,
            })
        });
        if let Value::Object(object) = &mut report {
            object.insert("event_id".to_owned(), json!(self.event_id));
            object.insert("rejected".to_owned(), json!(self.rejected));
            if let Some(state_key) = &self.state_key {
                object.insert("state_key".to_owned(), json!(state_key));
            }
            if let Some(redacts) = &self.redacts {
                object.insert("redacts".to_owned(), json!(redacts));
            }
        }
        report
    }
}

/// Events in memory, as the source of lookups that resolution asks for.
#[derive(Clone, Copy, Debug)]
pub struct MemoryEvents<'a>(pub &'a Events);

impl EventSource for MemoryEvents<'_> {
    type Id = String;

    fn event(&self, id: &String) -> Option<EventView<'_, String>> {
        self.0.get(id).map(RoomEvent::view)
    }
}
