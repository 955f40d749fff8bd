//! Older events of rooms, as the client-server API asks for them: of other servers in the room.

use std::time::Duration;

use freehold_client_api::OlderEvents;
use freehold_federation::Ingest;
use freehold_store::{BoxFuture, Tenant};
use ruma_common::RoomId;

/// What other servers have of rooms.
pub(crate) struct EventsOfOthers(pub(crate) Ingest);

/// How long a person who reads back waits.
const PATIENCE: Duration = Duration::from_secs(20);

impl OlderEvents for EventsOfOthers {
    fn fetch<'a>(&'a self, tenant: &'a Tenant, room_id: &'a RoomId) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, self.0.backfill(tenant, room_id)).await {
                Ok(Ok(count)) => count > 0,
                Ok(Err(error)) => {
                    tracing::debug!(%room_id, %error, "no older events were fetched");
                    false
                }
                Err(_) => false,
            }
        })
    }
}
