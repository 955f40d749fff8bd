//! Has rooms get what they lack of their state, when the keys of those who signed it can be had.

use std::pin::pin;
use std::time::Duration;

use freehold_rooms::{LackingRoom, LateState};

use crate::ingest::Ingest;
use crate::limits::LATE_STATE_ROUND_MS;

impl Ingest {
    /// Looks again and again for what rooms lack that were joined when not all of their state could be verified, until something else is
    /// ready. A room at a time, each after a wait that grows.
    pub async fn take_late_state_until(&self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(Duration::from_millis(LATE_STATE_ROUND_MS)) => {}
            }
            tokio::select! {
                () = &mut stop => return,
                () = self.take_late_state() => {}
            }
        }
    }

    async fn take_late_state(&self) {
        for LackingRoom { room, tenant } in self.lacking_rooms().await {
            let room_id = &room.room_id;
            match self.rooms().take_late_state(room_id).await {
                Ok(LateState::Came) => {
                    tracing::info!(%room_id, "state of a room came late");
                    // Events that it allows may have been refused meanwhile.
                    if let Err(error) = self.catch_up_in(&tenant, &room).await {
                        tracing::debug!(%room_id, %error, "nobody said what was missed");
                    }
                }
                Ok(LateState::Waits | LateState::Whole) => {}
                Err(error) => tracing::warn!(%room_id, %error, "what a room lacks was not looked at again"),
            }
        }
    }

    async fn lacking_rooms(&self) -> Vec<LackingRoom> {
        let Ok(reader) = self.rooms().reader() else { return Vec::new() };
        match reader.lacking_rooms().await {
            Ok(rooms) => rooms,
            Err(error) => {
                tracing::warn!(%error, "rooms that lack state cannot be read");
                Vec::new()
            }
        }
    }
}
