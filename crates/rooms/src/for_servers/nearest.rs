//! The event nearest to a time.

use freehold_store::{Order, TimelineIndex};
use ruma_common::OwnedEventId;

use super::{NotShown, ServerView};
use crate::limits::NEAREST_MAX;
use crate::read::{Between, Reader, Unreadable};

/// The event nearest to a time, in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// Its id.
    pub event_id: OwnedEventId,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
}

impl ServerView {
    /// The event nearest to a time: the first one after it in ascending order, the last one before it in descending
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid>). `None` when the server may
    /// see none there.
    ///
    /// # Errors
    /// [`NotShown`].
    pub async fn timestamp_to_event(&self, ts: i64, order: Order) -> Result<Option<Nearest>, NotShown> {
        let between = match order {
            Order::Ascending => {
                let first = self.first_since(ts).await?;
                Between::after(TimelineIndex(first.0.saturating_sub(1)))
            }
            Order::Descending => Between::before(self.first_since(ts.saturating_add(1)).await?),
        };
        let found = self.reader.timeline(self.room.number, between, order, NEAREST_MAX).await?;
        let numbers: Vec<_> = found.into_iter().map(|(_, number)| number).collect();
        let events = self.reader.events(&numbers).await?;
        let visible = self.visible(&events).await?;
        let nearest = events.iter().zip(visible).find(|(_, visible)| *visible);
        Ok(nearest.map(|(event, _)| Nearest {
            event_id: event.pdu.event_id().to_owned(),
            origin_server_ts: event.pdu.origin_server_ts(),
        }))
    }

    /// Where the first event stands that was sent at a time or later. Timelines are searched as if they were in the order of
    /// time, which they are as far as clocks go right.
    async fn first_since(&self, ts: i64) -> Result<TimelineIndex, Unreadable> {
        let (reader, room) = (&self.reader, self.room.number);
        let edge = async |order| -> Result<Option<TimelineIndex>, Unreadable> {
            let found = reader.timeline(room, Between::ALL, order, 1).await?;
            Ok(found.first().map(|(index, _)| *index))
        };
        let Some(mut low) = edge(Order::Ascending).await? else { return Ok(TimelineIndex(0)) };
        let mut high = edge(Order::Descending).await?.unwrap_or(low).0.saturating_add(1);
        while low.0 < high {
            let middle = middle(low.0, high);
            let part =
                Between { after: TimelineIndex(middle.saturating_sub(1)), before: TimelineIndex(high) };
            match reader.timeline(room, part, Order::Ascending, 1).await?.first() {
                Some((index, event)) if Reader::event(reader, *event).await?.pdu.origin_server_ts() < ts => {
                    low = TimelineIndex(index.0.saturating_add(1));
                }
                // Nothing stands between the middle and the end, or what does was sent in time.
                _ => high = middle,
            }
        }
        Ok(TimelineIndex(high))
    }
}

/// A place between two, the second of which is greater: never that one. History stands in negative places, and there a midpoint is
/// rounded up.
fn middle(low: i64, high: i64) -> i64 {
    low.midpoint(high).min(high.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise a search in history goes on for ever, for whoever asks.
    #[test]
    fn the_middle_is_before_the_end_in_history_too() {
        for low in -5..5 {
            for high in low + 1..=5 {
                let middle = middle(low, high);
                assert!(low <= middle && middle < high, "{low} {high}: {middle}");
            }
        }
        assert!(middle(i64::MIN, i64::MIN + 1) == i64::MIN && middle(i64::MIN, i64::MAX) < i64::MAX);
    }
}
