//! Events that are known only as parts of auth chains and of states.

use freehold_signing::SignedPdu;
use ruma_common::RoomId;

use super::Arrival;
use crate::error::ActionError;
use crate::receive::Incoming;
use crate::rooms::Rooms;
use crate::work::Work;

impl Rooms {
    /// Receives events that passed checks 1 to 3, each after those that it names, with their places in a list.
    pub(crate) async fn try_receive_outliers(
        &self,
        room_id: &RoomId,
        events: &[(usize, SignedPdu)],
    ) -> Result<Vec<(usize, Incoming)>, ActionError> {
        let mut work = Work::begin(self, room_id).await?;
        let mut answers = Vec::with_capacity(events.len());
        for (place, signed) in events {
            answers.push((*place, work.receive_foreign(signed.clone(), Arrival::Outlier).await?));
        }
        if !work.staged.is_empty() {
            work.commit().await?;
        }
        Ok(answers)
    }
}
