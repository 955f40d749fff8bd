//! Ids of to-device messages that nobody will repeat any more.

use freehold_store::tables::encryption::{
    TO_DEVICE_RECEIVED, TO_DEVICE_RECEIVED_AGES, TO_DEVICE_SENT, TO_DEVICE_SENT_AGES,
};
use freehold_store::{Batch, DeviceNumber, TenantNumber};
use ruma_common::OwnedServerName;

use crate::failure::Failure;
use crate::service::Encryption;

/// How many rows a step looks at.
const PAGE: usize = 256;

/// How far a round over all transaction ids has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionCursor(Option<(DeviceNumber, i64, String, String)>);

/// How far a round over all message ids of other servers has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedCursor(Option<(TenantNumber, OwnedServerName, i64, String)>);

impl Encryption {
    /// Forgets some of the transaction ids that are too old to be remembered. Each device that sends forgets its own; this is for those
    /// that send nothing any more. Gives where the next step goes on; `None` at the end of the round.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn forget_transactions(
        &self,
        from: TransactionCursor,
    ) -> Result<Option<TransactionCursor>, Failure> {
        let oldest = self.0.clock.now_ts().saturating_sub(self.0.limits.transactions_remembered_ms);
        let page = self.snapshot()?.scan_after(&TO_DEVICE_SENT_AGES, from.0.as_ref(), PAGE).await?;
        let Some((last, ())) = page.last() else { return Ok(None) };
        let next = TransactionCursor(Some(last.clone()));
        let mut batch = Batch::new();
        for (age, ()) in page.into_iter().filter(|((_, sent_ts, ..), ())| *sent_ts < oldest) {
            let (device, sent_ts, event_type, transaction) = age.clone();
            let place = (device, event_type, transaction);
            // The device may have used the id again since: then that is another row.
            batch.expect_absent_or(&TO_DEVICE_SENT, &place, &sent_ts);
            batch.delete(&TO_DEVICE_SENT, &place);
            batch.delete(&TO_DEVICE_SENT_AGES, &age);
        }
        if !batch.is_empty() {
            // After a conflict they come again in the next round.
            self.commit(batch).await?;
        }
        Ok(Some(next))
    }

    /// Forgets some of the ids of messages of other servers that are too old to be remembered. Each server that sends has its own
    /// forgotten; this is for those that send nothing any more. Gives where the next step goes on; `None` at the end of the round.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn forget_received(&self, from: ReceivedCursor) -> Result<Option<ReceivedCursor>, Failure> {
        let oldest = self.0.clock.now_ts().saturating_sub(self.0.limits.transactions_remembered_ms);
        let page = self.snapshot()?.scan_after(&TO_DEVICE_RECEIVED_AGES, from.0.as_ref(), PAGE).await?;
        let Some((last, ())) = page.last() else { return Ok(None) };
        let next = ReceivedCursor(Some(last.clone()));
        let mut batch = Batch::new();
        for (age, ()) in page.into_iter().filter(|((_, _, received_ts, _), ())| *received_ts < oldest) {
            let (tenant, origin, received_ts, message_id) = age.clone();
            let place = (tenant, origin, message_id);
            // The server may have used the id again since: then that is another row.
            batch.expect_absent_or(&TO_DEVICE_RECEIVED, &place, &received_ts);
            batch.delete(&TO_DEVICE_RECEIVED, &place);
            batch.delete(&TO_DEVICE_RECEIVED_AGES, &age);
        }
        if !batch.is_empty() {
            // After a conflict they come again in the next round.
            self.commit(batch).await?;
        }
        Ok(Some(next))
    }
}
