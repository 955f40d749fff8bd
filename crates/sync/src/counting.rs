//! Counting what a user has not read: reads the timeline, asks the push rules.

use std::sync::Arc;

use freehold_canonical_json::{member, string_member};
use freehold_rooms::{Between, StoredEvent};
use freehold_store::{EventNumber, Order, TimelineIndex};
use ruma_common::push::{PushConditionRoomCtx, Ruleset};
use ruma_common::serde::Raw;
use ruma_common::{EventId, OwnedEventId};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::receipts::Kept;
use crate::service::{Look, SyncError};
use crate::unread::{Counted, EVENTS_MAX, Notifies, ReadUpTo, RoomCounts};
use crate::view::View;

/// How many relations are followed from an event to the thread it is in
/// (<https://spec.matrix.org/v1.19/client-server-api/#threaded-read-receipts>).
const HOPS_MAX: usize = 3;

impl Look {
    /// What the user has not read of a room.
    pub(crate) async fn unread_counts(
        &self,
        view: &View<'_>,
        own_receipts: &[Kept],
    ) -> Result<RoomCounts, SyncError> {
        let read = ReadUpTo::new(view.joined_at(), own_receipts);
        let to = TimelineIndex::last_of(self.snapshot.position());
        let key = (self.actor.user, view.room);
        let mut counted = self.inner.unread.go_on(key, read, to);
        if view.current().await?.is_some_and(|current| current.last > counted.to) {
            let between = Between { after: counted.to, before: TimelineIndex(to.0.saturating_add(1)) };
            let mut rows = view.reader.timeline(view.room, between, Order::Descending, EVENTS_MAX).await?;
            rows.reverse();
            self.count(view, &mut counted, rows).await?;
        }
        counted.to = to;
        let counts = counted.counts.clone();
        self.inner.unread.remember(key, counted);
        Ok(counts)
    }

    async fn count(
        &self,
        view: &View<'_>,
        counted: &mut Counted,
        rows: Vec<(TimelineIndex, EventNumber)>,
    ) -> Result<(), SyncError> {
        let numbers: Vec<EventNumber> = rows.iter().map(|(_, event)| *event).collect();
        let events = view.reader.events(&numbers).await?;
        let withheld = view.reader.withheld(view.viewer, &events).await;
        // Asked for once there is an event that may notify: one's own do not.
        let mut judge = None;
        for (((index, _), event), withheld) in rows.into_iter().zip(events).zip(withheld) {
            if withheld || event.is_ignored(&self.ignored) {
                continue;
            }
            if event.row.sender == self.actor.user {
                if event.row.state_key.is_none() {
                    counted.counts.spoke(self.thread_of(view, &event).await?.as_ref());
                }
                continue;
            }
            let (rules, context) = match &judge {
                Some(judge) => judge,
                None => judge.insert(self.judge(view).await?),
            };
            let notifies = notifies(rules, context, &event).await;
            if notifies.notify {
                let thread = self.thread_of(view, &event).await?;
                if !counted.read.covers(index, thread.as_ref()) {
                    counted.counts.count(thread, notifies);
                }
            }
        }
        Ok(())
    }

    /// What decides whether an event of a room notifies the user.
    async fn judge(&self, view: &View<'_>) -> Result<(Ruleset, PushConditionRoomCtx), SyncError> {
        let rules = self.inner.outside.accounts.ruleset(&self.snapshot, self.actor.user).await?;
        Ok((rules, view.push_context().await?))
    }

    /// The thread an event is in, found by its relations.
    async fn thread_of(
        &self,
        view: &View<'_>,
        event: &Arc<StoredEvent>,
    ) -> Result<Option<OwnedEventId>, SyncError> {
        let mut event = Arc::clone(event);
        for _ in 0..HOPS_MAX {
            let Some(relation) = Relation::of(event.pdu.content()) else { return Ok(None) };
            if relation.rel_type == "m.thread" {
                return Ok(Some(relation.event_id));
            }
            let Some(parent) = view.reader.event_of_room(view.room, &relation.event_id).await? else {
                return Ok(None);
            };
            event = parent;
        }
        Ok(None)
    }
}

async fn notifies(rules: &Ruleset, context: &PushConditionRoomCtx, event: &StoredEvent) -> Notifies {
    let Ok(json) = RawValue::from_string(event.pdu.canonical_json().to_owned()) else {
        return Notifies::default();
    };
    let event: Raw<Value> = Raw::from_json(json);
    let actions = rules.get_actions(&event, context).await;
    Notifies {
        notify: actions.iter().any(|action| action.should_notify()),
        highlight: actions.iter().any(|action| action.is_highlight()),
    }
}

/// The `m.relates_to` of an event.
struct Relation {
    rel_type: String,
    event_id: OwnedEventId,
}

impl Relation {
    fn of(content: &str) -> Option<Self> {
        let relates_to = member(content, "m.relates_to").ok().flatten()?;
        let event_id = EventId::parse(string_member(relates_to.text(), "event_id")?).ok()?;
        let rel_type = string_member(relates_to.text(), "rel_type")?.into_owned();
        Some(Relation { rel_type, event_id })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_well_formed_relation_is_one() {
        let read = |relates_to: Value| Relation::of(&json!({ "m.relates_to": relates_to }).to_string());
        assert!(read(json!({ "rel_type": "m.thread", "event_id": "$root" })).is_some());
        assert!(read(json!({ "rel_type": 7, "event_id": "$root" })).is_none());
        assert!(read(json!("$root")).is_none());
        assert!(read(json!(null)).is_none());
        assert!(Relation::of("{}").is_none());
    }
}
