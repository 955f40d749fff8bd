//! Events in the format that clients see
//! (<https://spec.matrix.org/v1.19/client-server-api/#room-event-format>).

use std::sync::Arc;

use freehold_canonical_json::{ObjectWriter, Sink};
use freehold_event::Pdu;
use freehold_store::DeviceNumber;
use freehold_store::tables::rooms::Membership;
use serde_json::value::RawValue;

use super::{Reader, StoredEvent, Unreadable, Viewer};

/// In which of its formats a client sees an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFormat {
    /// With `room_id`.
    Whole,
    /// Without `room_id`, as in a sync, where the room is named outside.
    InSync,
}

/// What is said about an event beside the event.
#[derive(Default)]
struct Unsigned {
    age: i64,
    relations: Option<String>,
    membership: Option<Membership>,
    prev_content: Option<String>,
    prev_sender: Option<String>,
    replaces_state: Option<String>,
    redacted_because: Option<String>,
    transaction_id: Option<String>,
}

impl Reader {
    /// An event as a user's device sees it, with what relates to it
    /// (<https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events>). Whether the user may see it is [`Reader::visible`]'s to say.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn client_event(
        &self,
        (viewer, device): (&Viewer, Option<DeviceNumber>),
        event: &Arc<StoredEvent>,
        format: ClientFormat,
    ) -> Result<Box<RawValue>, Unreadable> {
        let event = &self.seen(viewer, event).await?;
        let mut unsigned = self.unsigned((viewer, device), event).await?;
        unsigned.relations = self.bundled((viewer, device), event, format).await?;
        let text = text_of(&event.pdu, format, Some(&unsigned));
        RawValue::from_string(text).map_err(|error| Unreadable::Damaged(Box::new(error)))
    }

    /// An event without what relates to it: one that itself relates to another.
    pub(crate) async fn related_event(
        &self,
        (viewer, device): (&Viewer, Option<DeviceNumber>),
        event: &Arc<StoredEvent>,
        format: ClientFormat,
    ) -> Result<String, Unreadable> {
        let event = &self.seen(viewer, event).await?;
        let unsigned = self.unsigned((viewer, device), event).await?;
        Ok(text_of(&event.pdu, format, Some(&unsigned)))
    }

    async fn unsigned(
        &self,
        (viewer, device): (&Viewer, Option<DeviceNumber>),
        event: &Arc<StoredEvent>,
    ) -> Result<Unsigned, Unreadable> {
        let mut unsigned = Unsigned {
            age: self.rooms.now_ts().saturating_sub(event.pdu.origin_server_ts()),
            membership: self.membership_at(viewer, event).await?,
            ..Unsigned::default()
        };
        if let Some((sent_by, transaction_id)) = &event.row.transaction
            && Some(*sent_by) == device
        {
            unsigned.transaction_id = Some(transaction_id.clone());
        }
        if let Some(key) = event.row.state_key
            && let Some(previous) = self.state_before(event).await?.number_at(key).await?
        {
            let previous = self.seen(viewer, &self.event(previous).await?).await?;
            unsigned.prev_content = Some(previous.pdu.content().to_owned());
            unsigned.prev_sender = Some(previous.pdu.sender().to_string());
            unsigned.replaces_state = Some(previous.pdu.event_id().to_string());
        }
        if let Some(redaction) = event.row.redacted_by {
            let redaction = self.event(redaction).await?;
            unsigned.redacted_because = Some(text_of(&redaction.pdu, ClientFormat::InSync, None));
        }
        Ok(unsigned)
    }
}

impl Unsigned {
    fn write<S: Sink>(&self, mut writer: ObjectWriter<'_, S>) {
        writer.value("age", &self.age.to_string());
        self.relations.iter().for_each(|relations| writer.value("m.relations", relations));
        if let Some(membership) = self.membership {
            writer.string("membership", membership_name(membership));
        }
        self.prev_content.iter().for_each(|content| writer.value("prev_content", content));
        self.prev_sender.iter().for_each(|sender| writer.string("prev_sender", sender));
        self.redacted_because.iter().for_each(|event| writer.value("redacted_because", event));
        self.replaces_state.iter().for_each(|event_id| writer.string("replaces_state", event_id));
        self.transaction_id.iter().for_each(|id| writer.string("transaction_id", id));
        writer.finish();
    }
}

/// The name of a membership in events.
pub(crate) fn membership_name(membership: Membership) -> &'static str {
    match membership {
        Membership::Invite => "invite",
        Membership::Join => "join",
        Membership::Leave => "leave",
        Membership::Ban => "ban",
        Membership::Knock => "knock",
    }
}

fn text_of(pdu: &Pdu, format: ClientFormat, unsigned: Option<&Unsigned>) -> String {
    let mut text = Vec::with_capacity(pdu.content().len() + 512);
    let mut writer = ObjectWriter::new(&mut text);
    match redacts_in_content(pdu) {
        Some(target) => writer.value("content", &with_redacts(pdu.content(), target)),
        None => writer.value("content", pdu.content()),
    }
    writer.string("event_id", pdu.event_id().as_str());
    writer.value("origin_server_ts", &pdu.origin_server_ts().to_string());
    if let Some(target) = pdu.redacts().filter(|_| pdu.event_type() == "m.room.redaction") {
        writer.string("redacts", target);
    }
    if format == ClientFormat::Whole {
        writer.string("room_id", pdu.room_id().as_str());
    }
    writer.string("sender", pdu.sender().as_str());
    if let Some(state_key) = pdu.state_key() {
        writer.string("state_key", state_key);
    }
    writer.string("type", pdu.event_type());
    if let Some(unsigned) = unsigned {
        unsigned.write(writer.object("unsigned"));
    }
    writer.finish();
    String::from_utf8(text).unwrap_or_default()
}

/// "For improved compatibility with newer clients, servers should add a `redacts` property to the `content` of
/// `m.room.redaction` events in *older* room versions" (<https://spec.matrix.org/v1.19/rooms/v11/>); the other way round is
/// done for all.
fn redacts_in_content(pdu: &Pdu) -> Option<&str> {
    let in_content = pdu.version().rules().redaction.content_field_redacts;
    pdu.redacts().filter(|_| !in_content && pdu.event_type() == "m.room.redaction")
}

fn with_redacts(content: &str, target: &str) -> String {
    let mut fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(content).unwrap_or_default();
    fields.insert("redacts".to_owned(), target.into());
    serde_json::Value::from(fields).to_string()
}
