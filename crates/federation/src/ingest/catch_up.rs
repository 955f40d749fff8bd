//! What was missed while we were away.

use std::sync::Arc;

use freehold_rooms::RoomFacts;
use freehold_store::Tenant;
use futures_util::StreamExt;
use futures_util::stream;
use ruma_common::{OwnedEventId, OwnedServerName, ServerName};

use super::ask::hedged;
use super::driver::{Ingest, Taken};
use super::fetching::NoAnswer;
use super::flight::{Flight, here};
use crate::limits::{CATCH_UP_AT_ONCE, CATCH_UP_ROOMS_MAX};

/// How the rooms of a process that was away were brought up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// In how many rooms others were asked.
    pub rooms: usize,
    /// In how many of them events had been missed, which are here now.
    pub missed: usize,
    /// In how many nobody answered.
    pub unanswered: usize,
}

impl Ingest {
    /// Asks others at once for what was missed, in the rooms in which something happened last first: to be called when the
    /// server starts. Without it a quiet room would wait for the next event of others.
    pub async fn catch_up(&self) -> CaughtUp {
        let Ok(reader) = self.0.parts.rooms.reader() else { return CaughtUp::default() };
        let Ok(rooms) = reader.shared_rooms(CATCH_UP_ROOMS_MAX).await else { return CaughtUp::default() };
        drop(reader);
        let asked =
            rooms.into_iter().map(|(room, tenant)| async move { self.catch_up_in(&tenant, &room).await });
        let mut answers = stream::iter(asked).buffer_unordered(CATCH_UP_AT_ONCE);
        let mut caught = CaughtUp::default();
        while let Some(answer) = answers.next().await {
            caught.rooms += 1;
            match answer {
                Ok(missed) => caught.missed += usize::from(missed),
                Err(_) => caught.unanswered += 1,
            }
        }
        caught
    }

    /// Asks for the last event of a room, and takes it if it is not here. Gives whether it is new.
    pub(crate) async fn catch_up_in(&self, tenant: &Tenant, room: &Arc<RoomFacts>) -> Result<bool, NoAnswer> {
        let flight = self.0.flight_for(tenant, Arc::clone(room)).await.map_err(here)?;
        self.take_last(&flight).await
    }

    /// The same of one server.
    pub(crate) async fn catch_up_with(
        &self,
        tenant: &Tenant,
        room: &Arc<RoomFacts>,
        server: &ServerName,
    ) -> Result<bool, NoAnswer> {
        let mut flight = self.0.flight_for(tenant, Arc::clone(room)).await.map_err(here)?;
        flight.servers = vec![server.to_owned()];
        self.take_last(&flight).await
    }

    async fn take_last(&self, flight: &Flight<'_>) -> Result<bool, NoAnswer> {
        let before_ts = self.0.parts.clock.now_ts();
        let (server, event_id): (OwnedServerName, OwnedEventId) = hedged(&flight.servers, |server| {
            Box::pin(async move {
                let asking = flight.asking(server);
                let last = flight.inner.parts.fetching.last_event(asking, before_ts).await?;
                Ok((server.clone(), last))
            })
        })
        .await?;
        if flight.unknown(std::slice::from_ref(&event_id)).await?.is_empty() {
            return Ok(false);
        }
        let text = self.0.parts.fetching.event(flight.asking(&server), &event_id).await?;
        let taken = self.take(flight.tenant, &server, flight.room_id(), vec![text]).await;
        Ok(taken.iter().any(|(id, done)| {
            id.as_ref() == Some(&event_id) && matches!(done, Ok(Taken::Accepted | Taken::Refused(_)))
        }))
    }
}
