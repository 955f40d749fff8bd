//! What was missed while we were away.

use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_rooms::RoomFacts;
use freehold_store::Tenant;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use ruma_common::{OwnedEventId, OwnedServerName, ServerName};

use super::ask::in_time;
use super::driver::{Ingest, Taken};
use super::fetching::NoAnswer;
use super::flight::{Flight, here};
use crate::limits::{CATCH_UP_AT_ONCE, CATCH_UP_ROOMS_MAX, CATCH_UP_SERVERS};

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

    /// Asks some servers for the last event of a room, and takes those that are not here. Gives whether one is new. What one says alone
    /// is not relied on: it may lag behind, or keep from us what happened.
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
        let mut last = NoAnswer::Nobody;
        for servers in flight.servers.chunks(CATCH_UP_SERVERS) {
            let mut tips: BTreeMap<OwnedEventId, &OwnedServerName> = BTreeMap::new();
            let mut asked = Vec::with_capacity(servers.len());
            for server in servers {
                asked.push(async move { (server, flight.last_event(server).await) });
            }
            for (server, answer) in join_all(asked).await {
                match answer {
                    Ok(event_id) => drop(tips.entry(event_id).or_insert(server)),
                    Err(error) => last = error,
                }
            }
            if !tips.is_empty() {
                return self.take_tips(flight, tips).await;
            }
        }
        Err(last)
    }

    /// Takes the last events of a room, each of which a server named, as far as they are not here.
    async fn take_tips(
        &self,
        flight: &Flight<'_>,
        tips: BTreeMap<OwnedEventId, &OwnedServerName>,
    ) -> Result<bool, NoAnswer> {
        let (mut is_any_new, mut failed) = (false, None);
        for (event_id, server) in tips {
            // One may have come with another.
            if flight.unknown(std::slice::from_ref(&event_id)).await?.is_empty() {
                continue;
            }
            let text = match in_time(self.0.parts.fetching.event(flight.asking(server), &event_id)).await {
                Ok(text) => text,
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            let taken = self.take(flight.tenant, server, flight.room_id(), vec![text]).await;
            is_any_new |= taken.iter().any(|(id, done)| {
                id.as_ref() == Some(&event_id) && matches!(done, Ok(Taken::Accepted | Taken::Refused(_)))
            });
        }
        failed.filter(|_| !is_any_new).map_or(Ok(is_any_new), Err)
    }
}

impl Flight<'_> {
    /// The last event of the room as a server says it.
    async fn last_event(&self, server: &ServerName) -> Result<OwnedEventId, NoAnswer> {
        let before_ts = self.inner.parts.clock.now_ts();
        in_time(self.inner.parts.fetching.last_event(self.asking(server), before_ts)).await
    }
}
