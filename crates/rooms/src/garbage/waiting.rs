//! Redactions of what never came.

use std::collections::{BTreeMap, BinaryHeap};

use freehold_store::tables::rooms::WAITING_REDACTIONS;
use freehold_store::{Batch, EventNumber, Order, ReadError, RoomNumber, Snapshot};
use ruma_common::OwnedEventId;

use crate::error::ActionError;
use crate::limits::WAITING_PER_ROOM_MAX;
use crate::rooms::Rooms;

/// How many rows are looked at with one read, and forgotten with one step.
const PAGE: usize = 256;

impl Rooms {
    /// Forgets some of the redactions that wait for what they redact, if more than 1,000 wait in a room or more
    /// than `most` in all: those that came first, of the rooms in which the most wait, so that no room has another one forget. What
    /// they redact is shown if it comes after all. Gives how many were forgotten; there may be more until it is 0.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_waiting_redactions(&self, most: usize) -> Result<usize, ActionError> {
        let snapshot = self.0.store.snapshot()?;
        let counts = waiting_by_room(&snapshot).await?;
        let share = fair_share(&counts, most);
        let (mut batch, mut forgotten) = (Batch::new(), 0);
        for (room, count) in counts {
            let surplus = count.saturating_sub(share).min(PAGE - forgotten);
            if surplus == 0 {
                continue;
            }
            for (redaction, target) in oldest(&snapshot, room, surplus).await? {
                batch.delete(&WAITING_REDACTIONS, &(room, target, redaction));
            }
            forgotten += surplus;
        }
        if forgotten > 0 {
            self.0.store.commit(batch).await?;
        }
        Ok(forgotten)
    }
}

/// How many redactions each room may have wait, so that it is no more than `most` in all.
fn fair_share(counts: &BTreeMap<RoomNumber, usize>, most: usize) -> usize {
    let fits = |share: usize| counts.values().map(|count| *count.min(&share)).sum::<usize>() <= most;
    let (mut fitting, mut above) = (0, WAITING_PER_ROOM_MAX + 1);
    while above - fitting > 1 {
        let middle = fitting.midpoint(above);
        *(if fits(middle) { &mut fitting } else { &mut above }) = middle;
    }
    fitting
}

/// How many redactions wait in each room.
async fn waiting_by_room(snapshot: &Snapshot) -> Result<BTreeMap<RoomNumber, usize>, ReadError> {
    let mut counts = BTreeMap::new();
    let mut after = None;
    loop {
        let page = snapshot.scan_after(&WAITING_REDACTIONS, after.as_ref(), PAGE).await?;
        let Some((last, ())) = page.last() else { return Ok(counts) };
        after = Some(last.clone());
        for ((room, ..), ()) in page {
            *counts.entry(room).or_default() += 1;
        }
    }
}

/// The redactions that have waited longest in a room.
async fn oldest(
    snapshot: &Snapshot,
    room: RoomNumber,
    count: usize,
) -> Result<Vec<(EventNumber, OwnedEventId)>, ReadError> {
    let mut oldest = BinaryHeap::new();
    let mut page = snapshot.scan_prefix(&WAITING_REDACTIONS, &(room,), Order::Ascending, PAGE).await?;
    while let Some((last, ())) = page.last().filter(|((of, ..), ())| *of == room) {
        let next = snapshot.scan_after(&WAITING_REDACTIONS, Some(last), PAGE).await?;
        for ((_, target, redaction), ()) in page.into_iter().filter(|((of, ..), ())| *of == room) {
            oldest.push((redaction, target));
            if oldest.len() > count {
                oldest.pop();
            }
        }
        page = next;
    }
    Ok(oldest.into_sorted_vec())
}
