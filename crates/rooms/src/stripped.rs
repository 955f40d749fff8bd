//! Stripped state: what somebody learns of a room before joining it.

use std::sync::Arc;

use freehold_canonical_json::ObjectWriter;
use freehold_event::Pdu;
use freehold_room::Event;

use crate::error::ActionError;
use crate::read::{RoomState, Unreadable};
use crate::work::Work;

/// Which state events are stripped for invites and knocks
/// (<https://spec.matrix.org/v1.19/client-server-api/#stripped-state>).
pub(crate) const STRIPPED: [&str; 7] = [
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
];

impl Work {
    /// The stripped state that goes with an invite or a knock, as JSON texts; the membership event is the last.
    pub(crate) async fn stripped_state(&mut self, cause: &Arc<Event>) -> Result<Vec<String>, ActionError> {
        let mut events = Vec::with_capacity(STRIPPED.len() + 2);
        for event_type in STRIPPED {
            if let Some(event) = self.state_event(event_type, "").await? {
                events.push(stripped(&event.pdu));
            }
        }
        if let Some(sender) = self.state_event("m.room.member", cause.pdu.sender().as_str()).await?
            && sender.number != cause.number
        {
            events.push(stripped(&sender.pdu));
        }
        events.push(stripped(&cause.pdu));
        Ok(events)
    }
}

impl RoomState {
    /// What another server is told of the room before it is in it, as events of the room
    /// (<https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room>).
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) async fn stripped_pdus(&self) -> Result<Vec<String>, Unreadable> {
        let mut events = Vec::with_capacity(STRIPPED.len());
        for event_type in STRIPPED {
            let event = self.get(event_type, "").await?;
            events.extend(event.map(|event| event.pdu.canonical_json().to_owned()));
        }
        Ok(events)
    }
}

/// "Stripped state events can only have the `sender`, `type`, `state_key` and `content` properties."
pub(crate) fn stripped(pdu: &Pdu) -> String {
    let mut text = Vec::new();
    let mut writer = ObjectWriter::new(&mut text);
    writer.value("content", pdu.content());
    writer.string("sender", pdu.sender().as_str());
    writer.string("state_key", pdu.state_key().unwrap_or_default());
    writer.string("type", pdu.event_type());
    writer.finish();
    String::from_utf8(text).unwrap_or_default()
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
