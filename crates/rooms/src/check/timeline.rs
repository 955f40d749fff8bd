//! The timeline of a room.

use freehold_store::tables::identity::USER_IDS;
use freehold_store::tables::rooms::{CURRENT_STATE, EVENTS, EventRow, Standing, TIMELINE};
use freehold_store::{EventNumber, Order, ReadError, RoomNumber, TimelineIndex};

use super::{Checking, PAGE, RoomFault};

impl Checking<'_> {
    /// Each entry is what the row of its event says, what was made here stands after what it follows, and the room knows which
    /// is the last.
    pub(crate) async fn timeline(&mut self, room: RoomNumber) -> Result<(), ReadError> {
        let mut from = TimelineIndex(i64::MIN);
        let mut last = None;
        loop {
            let range = (&(room, from), &(room, TimelineIndex(i64::MAX)));
            let page = self.snapshot.scan_range(&TIMELINE, range, Order::Ascending, PAGE).await?;
            let Some(((_, index), _)) = page.last() else { break };
            (from, last) = (TimelineIndex(index.0.saturating_add(1)), Some(*index));
            let events: Vec<EventNumber> = page.iter().map(|(_, event)| *event).collect();
            let rows = self.snapshot.get_many(&EVENTS, &events).await?;
            for (((_, index), event), row) in page.into_iter().zip(rows) {
                // `check_references` finds entries without an event.
                let Some(row) = row else { continue };
                self.entry((room, index), event, &row).await?;
            }
        }
        let current = self.snapshot.get(&CURRENT_STATE, &room).await?;
        if current.is_some_and(|current| last.is_some_and(|last| last != current.last)) {
            self.report("current_state", (room, None), RoomFault::TimelineEnd);
        }
        Ok(())
    }

    async fn entry(
        &mut self,
        (room, index): (RoomNumber, TimelineIndex),
        event: EventNumber,
        row: &EventRow,
    ) -> Result<(), ReadError> {
        let shown = row.standing == Standing::Accepted;
        if row.room != room || row.timeline != Some(index) || !shown {
            self.report("timeline", (room, Some(event)), RoomFault::Timeline);
        }
        let sender = self.snapshot.get(&USER_IDS, &row.sender).await?;
        // What others made may come before what it follows; what is made here follows what is there.
        if !sender.is_some_and(|sender| self.tenants.contains_key(sender.server_name())) {
            return Ok(());
        }
        let before = self.snapshot.get_many(&EVENTS, &row.prev_events).await?;
        let later = |before: &EventRow| before.timeline.is_some_and(|before| before > index);
        if before.iter().flatten().any(later) {
            self.report("timeline", (room, Some(event)), RoomFault::TimelineOrder);
        }
        Ok(())
    }
}
