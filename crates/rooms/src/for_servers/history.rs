//! What a server is told that lacks events.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use freehold_store::tables::rooms::Standing;
use ruma_common::{EventId, OwnedEventId};

use super::{NotShown, ServerView, text};
use crate::limits::{BACKFILL_MAX, MISSING_EVENTS_MAX, NAMED_MAX, STEPS_PER_EVENT};
use crate::read::{StoredEvent, Unreadable};

/// Which events a server lacks
/// (<https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid>).
#[derive(Clone, Debug)]
pub struct MissingEvents {
    /// The latest that it has.
    pub earliest_events: Vec<OwnedEventId>,
    /// Those of which it wants the previous ones.
    pub latest_events: Vec<OwnedEventId>,
    /// How many it wants.
    pub limit: usize,
    /// The least depth of what it wants.
    pub min_depth: i64,
}

/// Events to be walked over: the deepest first, and those that were rejected after all others. There can be any number of these,
/// as deep as their author likes, which others are not to be hidden behind.
type Deepest = BTreeSet<(bool, Reverse<i64>, OwnedEventId)>;

impl ServerView {
    /// The events before some, "by doing a breadth-first walk of the `prev_events` for the `latest_events`, ignoring any
    /// events in `earliest_events` and stopping at the `limit`", those walked last first. What the server may not see is
    /// redacted, or left out if it is no longer in the room.
    ///
    /// # Errors
    /// [`NotShown`].
    pub async fn missing_events(&self, wanted: &MissingEvents) -> Result<Vec<String>, NotShown> {
        let limit = wanted.limit.min(MISSING_EVENTS_MAX);
        let mut seen: BTreeSet<OwnedEventId> =
            wanted.earliest_events.iter().take(NAMED_MAX).cloned().collect();
        let latest: Vec<&OwnedEventId> = wanted.latest_events.iter().take(NAMED_MAX).collect();
        seen.extend(latest.iter().map(|event_id| (*event_id).clone()));
        let mut next: VecDeque<OwnedEventId> = VecDeque::new();
        for event_id in latest {
            if let Some(event) = self.graph_event(event_id).await?
                && (self.is_in || self.visible(std::slice::from_ref(&event)).await? == [true])
            {
                next.extend(event.pdu.prev_events().iter().cloned());
            }
        }
        // What only rejected events follow: there can be any number of them, which others are not to be hidden behind.
        let mut later: VecDeque<OwnedEventId> = VecDeque::new();
        let (mut found, mut steps) = (Vec::new(), limit.saturating_mul(STEPS_PER_EVENT));
        while found.len() < limit && steps > 0 {
            let Some(event_id) = next.pop_front().or_else(|| later.pop_front()) else { break };
            if !seen.insert(event_id.clone()) {
                continue;
            }
            steps -= 1;
            let Some(event) = self.graph_event(&event_id).await? else { continue };
            if event.row.depth < wanted.min_depth {
                continue;
            }
            let is_rejected = event.row.standing == Standing::Rejected;
            let followed = if is_rejected { &mut later } else { &mut next };
            followed.extend(event.pdu.prev_events().iter().cloned());
            if !is_rejected {
                found.push(event);
            }
        }
        found.reverse();
        Ok(self.shown(&found).await?)
    }

    /// Some events and those before them, the deepest first
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid>). What the server may not see
    /// is redacted.
    ///
    /// # Errors
    /// [`NotShown`].
    pub async fn backfill(&self, from: &[OwnedEventId], limit: usize) -> Result<Vec<String>, NotShown> {
        let limit = limit.min(BACKFILL_MAX);
        let mut seen: BTreeSet<OwnedEventId> = BTreeSet::new();
        let mut next = Deepest::new();
        for event_id in from.iter().take(NAMED_MAX) {
            self.queue(event_id, &mut seen, &mut next).await?;
        }
        let (mut found, mut steps) = (Vec::new(), limit.saturating_mul(STEPS_PER_EVENT));
        while found.len() < limit && steps > 0 {
            let Some((.., event_id)) = next.pop_first() else { break };
            steps -= 1;
            let Some(event) = self.graph_event(&event_id).await? else { continue };
            for prev in event.pdu.prev_events() {
                self.queue(prev, &mut seen, &mut next).await?;
            }
            if event.row.standing != Standing::Rejected {
                found.push(event);
            }
        }
        Ok(self.shown(&found).await?)
    }

    async fn queue(
        &self,
        event_id: &EventId,
        seen: &mut BTreeSet<OwnedEventId>,
        next: &mut Deepest,
    ) -> Result<(), Unreadable> {
        if seen.insert(event_id.to_owned())
            && let Some(event) = self.graph_event(event_id).await?
        {
            let is_rejected = event.row.standing == Standing::Rejected;
            next.insert((is_rejected, Reverse(event.row.depth), event_id.to_owned()));
        }
        Ok(())
    }

    /// An event of the room that stands in its graph: no outlier.
    async fn graph_event(&self, event_id: &EventId) -> Result<Option<Arc<StoredEvent>>, Unreadable> {
        match self.own_event(event_id).await {
            Ok(event) => Ok(Some(event).filter(|event| event.row.state_before.is_some())),
            Err(NotShown::Unreadable(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Events in federation format, redacted where the server may not see them.
    async fn shown(&self, events: &[Arc<StoredEvent>]) -> Result<Vec<String>, Unreadable> {
        let mut shown = Vec::with_capacity(events.len());
        for (event, visible) in events.iter().zip(self.visible(events).await?) {
            match visible {
                true => shown.push(self.text_for(event).await?),
                false if self.is_in => shown.push(text(&event.pdu.redacted())),
                false => {}
            }
        }
        Ok(shown)
    }
}
