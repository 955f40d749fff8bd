//! Which event relates to which (<https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events>).
//!
//! A relation may come long before what it is about, as when history is read backwards; so the event that it names gets its
//! number with the relation, and whoever asks for the relations of an event finds those that were there first.

use std::borrow::Cow;

use freehold_canonical_json::{Object, Value, member, string_member};
use freehold_event::Pdu;
use freehold_room::Event;
use freehold_store::tables::rooms::{EventRow, RELATIONS, RelationRow};
use freehold_store::{Actor, Batch, EventNumber, Order, RoomNumber, Snapshot, TimelineIndex};
use ruma_common::{EventId, OwnedEventId};

use crate::error::ActionError;
use crate::loaded::read_event;
use crate::send::event_in_room;
use crate::work::{Wanted, Work};

/// How many relations of an event are looked at for one that a user made before, newest first.
const LOOKED_AT_MAX: usize = 10_000;

/// What an event says of its relation.
struct Relation {
    event_id: OwnedEventId,
    rel_type: String,
}

impl Work {
    /// The event that another one relates to, and how.
    pub(crate) async fn relation(
        &mut self,
        event: &Event,
    ) -> Result<Option<(EventNumber, RelationRow)>, ActionError> {
        let Some(Relation { event_id, rel_type }) = relation(event.pdu.content()) else {
            return Ok(None);
        };
        let target = self.rooms.0.interner.number_of(&self.snapshot, &event_id, &mut self.batch).await?;
        let row = RelationRow {
            event: EventNumber(event.number),
            sender: self.user(event.pdu.sender()).await?,
            rel_type,
            event_type: event.pdu.event_type().to_owned(),
        };
        Ok(Some((target, row)))
    }

    /// Whether a user may relate a new event to another one as they wish.
    ///
    /// # Errors
    /// [`ActionError::DuplicateAnnotation`], [`ActionError::NestedThread`].
    pub(crate) async fn check_relation(&self, actor: &Actor, wanted: &Wanted) -> Result<(), ActionError> {
        let Some(relation) = wanted.content.get("m.relates_to").and_then(Value::as_object) else {
            return Ok(());
        };
        let field = |name| relation.get(name).and_then(Value::as_str);
        let target = field("event_id").and_then(|event_id| EventId::parse(event_id).ok());
        let Some(target) = target else { return Ok(()) };
        let Some(number) = event_in_room(&self.snapshot, self.number, &target).await? else { return Ok(()) };
        match field("rel_type") {
            Some("m.annotation") => self.check_annotation(actor, wanted, (number, relation)).await,
            Some("m.thread") => self.check_thread(number).await,
            _ => Ok(()),
        }
    }

    /// "Homeservers should prevent users from sending a second annotation for a given event with identical event `type` and
    /// annotation `key` (unless the first event has been redacted)"
    /// (<https://spec.matrix.org/v1.19/client-server-api/#avoiding-duplicate-annotations>).
    async fn check_annotation(
        &self,
        actor: &Actor,
        wanted: &Wanted,
        (target, relation): (EventNumber, &Object<'_>),
    ) -> Result<(), ActionError> {
        let key = relation.get("key").and_then(Value::as_str);
        let prefix = (self.number, target);
        let rows = self.snapshot.scan_prefix(&RELATIONS, &prefix, Order::Descending, LOOKED_AT_MAX).await?;
        let own = rows.into_iter().map(|(_, row)| row).filter(|row| {
            row.sender == actor.user && row.rel_type == "m.annotation" && row.event_type == wanted.event_type
        });
        for row in own {
            let event = read_event(&self.snapshot, self.machine.version(), row.event).await?;
            let is_same = |event: &Event| annotation_key(event.pdu.content()).as_deref() == key;
            if event.as_ref().is_some_and(is_same) {
                return Err(ActionError::DuplicateAnnotation);
            }
        }
        Ok(())
    }

    /// "Servers SHOULD reject client requests which attempt to start a thread off an event with an `m.relates_to` property"
    /// (<https://spec.matrix.org/v1.19/client-server-api/#validation-of-mthread-relationships>).
    async fn check_thread(&self, root: EventNumber) -> Result<(), ActionError> {
        let root = read_event(&self.snapshot, self.machine.version(), root).await?;
        match root.is_some_and(|root| relation(root.pdu.content()).is_some()) {
            true => Err(ActionError::NestedThread),
            false => Ok(()),
        }
    }
}

/// Adds to `batch` that an event relates to nothing any longer, because its content goes.
pub(crate) async fn unrelate(
    snapshot: &Snapshot,
    batch: &mut Batch,
    (row, pdu): (&EventRow, &Pdu),
) -> Result<(), ActionError> {
    let (Some(index), Some(relation)) = (row.timeline, relation(pdu.content())) else { return Ok(()) };
    if let Some(target) = snapshot.number_of(&relation.event_id).await? {
        let place: (RoomNumber, EventNumber, TimelineIndex) = (row.room, target, index);
        batch.delete(&RELATIONS, &place);
    }
    Ok(())
}

/// `m.relates_to`: the other event and the kind of relation.
fn relation(content: &str) -> Option<Relation> {
    let event_id = EventId::parse(of_relation(content, "event_id")?).ok()?;
    Some(Relation { event_id, rel_type: of_relation(content, "rel_type")? })
}

fn annotation_key(content: &str) -> Option<String> {
    of_relation(content, "key")
}

fn of_relation(content: &str, key: &str) -> Option<String> {
    let relation = member(content, "m.relates_to").ok().flatten()?;
    string_member(relation.text(), key).map(Cow::into_owned)
}
