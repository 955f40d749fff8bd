//! Has rooms become whole that were joined before all their members were known.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_lock::Semaphore;
use freehold_rooms::{PartialRoom, Rooms, Unverified};
use freehold_store::RoomNumber;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ruma_common::OwnedServerName;

use crate::ingest::Ingest;
use crate::limits::{
    LATE_MEMBERS_AT_ONCE, LATE_MEMBERS_ROUNDS_FOR_KEYS, LATE_MEMBERS_SERVERS_MAX, LATE_MEMBERS_WAIT_MAX_MS,
    LATE_MEMBERS_WAIT_MIN_MS,
};
use crate::randomness::Randomness;

/// Has rooms become whole that were joined before all their members were known. A clone is another handle on the same.
#[derive(Clone)]
pub struct LateMembers {
    ingest: Ingest,
    randomness: Arc<dyn Randomness>,
    /// Who asks now.
    places: Arc<Semaphore>,
}

impl LateMembers {
    /// For the rooms of an [`Ingest`].
    pub fn new(ingest: Ingest, randomness: Arc<dyn Randomness>) -> Self {
        LateMembers { ingest, randomness, places: Arc::new(Semaphore::new(LATE_MEMBERS_AT_ONCE)) }
    }

    /// Works until something else is ready. It begins with the rooms that were left partial when the process last ran.
    pub async fn run_until(&self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut changes = self.rooms().partial_changes();
        let (mut begun, mut running) = (BTreeSet::new(), FuturesUnordered::new());
        loop {
            changes.borrow_and_update();
            for partial in self.partial_rooms().await {
                if begun.insert(partial.room.number) {
                    running.push(self.complete(partial));
                }
            }
            tokio::select! {
                () = &mut stop => return,
                Some(done) = running.next() => {
                    begun.remove(&done);
                }
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn rooms(&self) -> &Rooms {
        self.ingest.rooms()
    }

    async fn partial_rooms(&self) -> Vec<PartialRoom> {
        let Ok(reader) = self.rooms().reader() else { return Vec::new() };
        match reader.partial_rooms().await {
            Ok(rooms) => rooms,
            Err(error) => {
                tracing::warn!(%error, "rooms that lack members cannot be read");
                Vec::new()
            }
        }
    }

    /// Asks servers in turn, and again after a while, until the room is whole.
    async fn complete(&self, partial: PartialRoom) -> RoomNumber {
        let number = partial.room.number;
        let (mut wait_ms, mut rounds) = (LATE_MEMBERS_WAIT_MIN_MS, 0_u32);
        loop {
            // There are rooms with members of servers whose keys nobody has any more.
            let is_patient = rounds < LATE_MEMBERS_ROUNDS_FOR_KEYS;
            let unverified = if is_patient { Unverified::Waits } else { Unverified::LeftOut };
            if self.try_complete(&partial, unverified).await {
                return number;
            }
            rounds = rounds.saturating_add(1);
            let wait = u64::try_from(self.randomness.around(wait_ms)).unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(wait)).await;
            wait_ms = wait_ms.saturating_mul(2).min(LATE_MEMBERS_WAIT_MAX_MS);
        }
    }

    async fn try_complete(&self, partial: &PartialRoom, unverified: Unverified) -> bool {
        let _place = self.places.acquire().await;
        let room_id = &partial.room.room_id;
        for server in self.servers(partial) {
            match self.rooms().complete(room_id, &server, unverified).await {
                Ok(()) => {
                    tracing::info!(%room_id, %server, "all members of a room are known");
                    self.catch_up(partial).await;
                    return true;
                }
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%room_id, %server, %error, ?source, "members of a room were not told");
                }
            }
        }
        false
    }

    /// Events that came meanwhile were not taken if they could not wait.
    async fn catch_up(&self, partial: &PartialRoom) {
        let Some(tenant) = &partial.tenant else { return };
        if let Err(error) = self.ingest.catch_up_in(tenant, &partial.room).await {
            tracing::debug!(room_id = %partial.room.room_id, %error, "nobody said what was missed");
        }
    }

    /// Whom to ask: who helped with the join, then others by chance.
    fn servers(&self, partial: &PartialRoom) -> Vec<OwnedServerName> {
        let mut others: Vec<&OwnedServerName> =
            partial.servers.iter().filter(|server| **server != partial.resident).collect();
        let mut servers = vec![partial.resident.clone()];
        while servers.len() < LATE_MEMBERS_SERVERS_MAX && !others.is_empty() {
            let place = usize::try_from(self.randomness.below(others.len() as u64)).unwrap_or_default();
            servers.push(others.swap_remove(place).clone());
        }
        servers
    }
}

impl fmt::Debug for LateMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateMembers").finish_non_exhaustive()
    }
}
