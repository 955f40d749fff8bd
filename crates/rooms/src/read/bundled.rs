//! What is told about an event's relations together with it
//! (<https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events>).

use std::sync::Arc;

use freehold_canonical_json::member;
use freehold_store::tables::rooms::RelationRow;
use freehold_store::{DeviceNumber, Order};
use serde_json::{Map, Value, json};

use super::{Between, ClientFormat, Reader, StoredEvent, Unreadable, Viewer};

impl Reader {
    /// The `m.relations` of an event as a user's device sees them, as a JSON text; `None` when there are none.
    pub(crate) async fn bundled(
        &self,
        viewer: (&Viewer, Option<DeviceNumber>),
        event: &Arc<StoredEvent>,
        format: ClientFormat,
    ) -> Result<Option<String>, Unreadable> {
        if event.row.redacted_by.is_some() || event.row.state_key.is_some() {
            return Ok(None);
        }
        let related = self.visible_relations(viewer.0, event).await?;
        if related.is_empty() {
            return Ok(None);
        }
        let of_type = |rel_type: &str| -> Vec<Arc<StoredEvent>> {
            let related = related.iter().filter(|(row, _)| row.rel_type == rel_type);
            related.map(|(_, event)| Arc::clone(event)).collect()
        };
        let mut bundled = Map::new();
        if let Some(edit) = latest_edit(event, of_type("m.replace")) {
            bundled.insert("m.replace".to_owned(), self.shown(viewer, &edit, format).await?);
        }
        let thread = of_type("m.thread");
        if let Some(latest) = thread.first() {
            let took_part = thread.iter().chain([event]).any(|event| event.pdu.sender() == viewer.0.user_id);
            let thread = json!({
                "count": thread.len(),
                "current_user_participated": took_part,
                "latest_event": self.shown(viewer, latest, format).await?,
            });
            bundled.insert("m.thread".to_owned(), thread);
        }
        let references = of_type("m.reference");
        if !references.is_empty() {
            let oldest_first = references.iter().rev();
            let chunk: Vec<Value> =
                oldest_first.map(|event| json!({ "event_id": event.pdu.event_id() })).collect();
            bundled.insert("m.reference".to_owned(), json!({ "chunk": chunk }));
        }
        Ok((!bundled.is_empty()).then(|| Value::from(bundled).to_string()))
    }

    /// What relates to an event and a user may see, newest first; nothing of users whom that user ignores.
    async fn visible_relations(
        &self,
        viewer: &Viewer,
        event: &StoredEvent,
    ) -> Result<Vec<(RelationRow, Arc<StoredEvent>)>, Unreadable> {
        let place = (event.row.room, event.number);
        let rows = self.relations(place, Between::ALL, Order::Descending, RELATIONS_MAX).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<_> = rows.iter().map(|(_, row)| row.event).collect();
        let events = self.events(&numbers).await?;
        let visible = self.visible(viewer, event.row.room, &events).await?;
        let ignored = self.ignored_by(viewer.user).await?;
        let related = rows.into_iter().map(|(_, row)| row).zip(events).zip(visible);
        let shown = related.filter(|((_, event), visible)| *visible && !event.is_ignored(&ignored));
        Ok(shown.map(|(related, _)| related).collect())
    }

    async fn shown(
        &self,
        viewer: (&Viewer, Option<DeviceNumber>),
        event: &Arc<StoredEvent>,
        format: ClientFormat,
    ) -> Result<Value, Unreadable> {
        let text = self.related_event(viewer, event, format).await?;
        serde_json::from_str(&text).map_err(|error| Unreadable::Damaged(Box::new(error)))
    }
}

/// How many relations of one event are looked at; those beyond are not counted.
const RELATIONS_MAX: usize = 10_000;

/// The edit that counts: of the sender of the event, of the same type, with `m.new_content`; "the most recent one by
/// `origin_server_ts`", and by event id among equals
/// (<https://spec.matrix.org/v1.19/client-server-api/#validity-of-replacement-events>).
fn latest_edit(event: &StoredEvent, edits: Vec<Arc<StoredEvent>>) -> Option<Arc<StoredEvent>> {
    if has(event.pdu.content(), "m.relates_to", |relation| relation.contains(r#""rel_type":"m.replace""#)) {
        return None;
    }
    let encrypted = event.pdu.event_type() == "m.room.encrypted";
    let is_valid = |edit: &Arc<StoredEvent>| {
        edit.pdu.sender() == event.pdu.sender()
            && edit.pdu.event_type() == event.pdu.event_type()
            && edit.row.state_key.is_none()
            && (encrypted || has(edit.pdu.content(), "m.new_content", |_| true))
    };
    let order = |edit: &Arc<StoredEvent>| (edit.pdu.origin_server_ts(), edit.pdu.event_id().to_owned());
    edits.into_iter().filter(is_valid).max_by_key(order)
}

fn has(content: &str, key: &str, meets: impl FnOnce(&str) -> bool) -> bool {
    member(content, key).ok().flatten().is_some_and(|value| meets(value.text()))
}
