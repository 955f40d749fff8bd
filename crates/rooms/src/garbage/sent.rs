//! Transaction ids that no device will repeat any more.

use freehold_store::tables::rooms::{EVENTS, SENT};
use freehold_store::{Batch, CommitError, DeviceNumber, EventNumber, RoomNumber};

use crate::error::ActionError;
use crate::rooms::Rooms;

/// How many rows a step looks at.
const PAGE: usize = 256;

/// How far a round over all transaction ids has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentCursor(Option<(DeviceNumber, RoomNumber, String, String)>);

impl Rooms {
    /// Forgets some of the transaction ids of events that were sent before a time, in milliseconds since the Unix epoch: a request
    /// with one of them makes a new event. Gives where the next step goes on; `None` at the end of the round.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget_sent(
        &self,
        before_ts: i64,
        from: SentCursor,
    ) -> Result<Option<SentCursor>, ActionError> {
        let snapshot = self.0.store.snapshot()?;
        let page = snapshot.scan_after(&SENT, from.0.as_ref(), PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        let next = SentCursor(Some(last.clone()));
        let events: Vec<EventNumber> = page.iter().map(|(_, event)| *event).collect();
        let rows = snapshot.get_many(&EVENTS, &events).await?;
        let mut batch = Batch::new();
        for ((key, event), row) in page.into_iter().zip(rows) {
            if row.is_none_or(|row| row.origin_server_ts < before_ts) {
                batch.expect_unchanged(&SENT, &key, Some(&event));
                batch.delete(&SENT, &key);
            }
        }
        if !batch.is_empty() {
            match self.0.store.commit(batch).await {
                // The device is going, or somebody else forgot some of them: they come again in the next round.
                Ok(_) | Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(next))
    }
}
