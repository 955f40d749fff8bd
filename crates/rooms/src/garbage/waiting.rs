//! Redactions of what never came.

use std::collections::BinaryHeap;

use freehold_store::tables::rooms::WAITING_REDACTIONS;
use freehold_store::{Batch, EventNumber, RoomNumber};

use crate::error::ActionError;
use crate::rooms::Rooms;

/// How many rows are looked at with one read, and forgotten with one step.
const PAGE: usize = 256;

impl Rooms {
    /// Forgets some of the redactions that wait for what they redact, if more than `most` wait: those that came first. What they
    /// redact is shown if it comes after all. Gives how many were forgotten; there may be more until it is 0.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_waiting_redactions(&self, most: usize) -> Result<usize, ActionError> {
        let snapshot = self.0.store.snapshot()?;
        let (mut after, mut waiting) = (None, 0_usize);
        let mut oldest: BinaryHeap<(EventNumber, RoomNumber, ruma_common::OwnedEventId)> = BinaryHeap::new();
        loop {
            let page = snapshot.scan_after(&WAITING_REDACTIONS, after.as_ref(), PAGE).await?;
            let Some((last, ())) = page.last() else { break };
            after = Some(last.clone());
            waiting += page.len();
            for ((room, target, redaction), ()) in page {
                oldest.push((redaction, room, target));
                if oldest.len() > PAGE {
                    oldest.pop();
                }
            }
        }
        let surplus = waiting.saturating_sub(most).min(PAGE);
        let mut batch = Batch::new();
        for (redaction, room, target) in oldest.into_sorted_vec().into_iter().take(surplus) {
            batch.delete(&WAITING_REDACTIONS, &(room, target, redaction));
        }
        if surplus > 0 {
            self.0.store.commit(batch).await?;
        }
        Ok(surplus)
    }
}
