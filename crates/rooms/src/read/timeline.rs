//! Timelines: the events of a room in the order in which clients see them.

use freehold_store::tables::rooms::TIMELINE;
use freehold_store::{EventNumber, Order, RoomNumber, TimelineIndex};

use super::{Reader, Unreadable};

/// A part of a timeline: after one index and before another, neither of which is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// What comes after this.
    pub after: TimelineIndex,
    /// What comes before this.
    pub before: TimelineIndex,
}

impl Between {
    /// The whole timeline.
    pub const ALL: Between = Between { after: TimelineIndex(i64::MIN), before: TimelineIndex(i64::MAX) };

    /// What comes after an index.
    pub fn after(after: TimelineIndex) -> Self {
        Between { after, ..Between::ALL }
    }

    /// Whether an index is in the part.
    pub fn holds(self, index: TimelineIndex) -> bool {
        self.after < index && index < self.before
    }

    /// What comes before an index.
    pub fn before(before: TimelineIndex) -> Self {
        Between { before, ..Between::ALL }
    }
}

impl Reader {
    /// Up to `limit` events of a part of a timeline: the first ones in ascending order, the last ones in descending.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn timeline(
        &self,
        room: RoomNumber,
        between: Between,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(TimelineIndex, EventNumber)>, Unreadable> {
        let start = TimelineIndex(between.after.0.saturating_add(1));
        let range = (&(room, start), &(room, between.before));
        let rows = self.snapshot.scan_range(&TIMELINE, range, order, limit).await?;
        Ok(rows.into_iter().map(|((_, index), event)| (index, event)).collect())
    }
}
