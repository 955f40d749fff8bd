//! Has rooms become whole that were joined before all their members were known.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_lock::Semaphore;
use freehold_rooms::{ActionError, PartialRoom, RoomFacts, Rooms, Unverified};
use freehold_store::RoomNumber;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ruma_common::OwnedServerName;
use tokio::time::timeout;

use crate::ingest::{HeldLeft, Ingest, Wanting};
use crate::limits::{
    HELD_ROUNDS_MAX, LATE_MEMBERS_AT_ONCE, LATE_MEMBERS_ROUNDS_FOR_KEYS, LATE_MEMBERS_SERVERS_MAX,
    LATE_MEMBERS_WAIT_MAX_MS, LATE_MEMBERS_WAIT_MIN_MS,
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

/// A room for which there is something to do.
enum Unfinished {
    /// Only a few of its members are known.
    Partial(PartialRoom),
    /// All are, and what came meanwhile is held still.
    Held(Arc<RoomFacts>),
}

impl Unfinished {
    fn number(&self) -> RoomNumber {
        match self {
            Unfinished::Partial(partial) => partial.room.number,
            Unfinished::Held(room) => room.number,
        }
    }
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
            for unfinished in self.unfinished().await {
                if begun.insert(unfinished.number()) {
                    running.push(self.finish(unfinished));
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

    async fn unfinished(&self) -> Vec<Unfinished> {
        self.try_unfinished().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "rooms that lack members cannot be read");
            Vec::new()
        })
    }

    /// The rooms that are partial, and those that are whole and of which something is held still.
    async fn try_unfinished(&self) -> Result<Vec<Unfinished>, ActionError> {
        let reader = self.rooms().reader()?;
        let partial = reader.partial_rooms().await?;
        let mut numbers: BTreeSet<RoomNumber> = partial.iter().map(|partial| partial.room.number).collect();
        let mut unfinished: Vec<Unfinished> = partial.into_iter().map(Unfinished::Partial).collect();
        for number in reader.rooms_held_of().await? {
            if numbers.insert(number) {
                unfinished.extend(reader.room(number).await?.map(Unfinished::Held));
            }
        }
        Ok(unfinished)
    }

    async fn finish(&self, unfinished: Unfinished) -> RoomNumber {
        let number = unfinished.number();
        match unfinished {
            Unfinished::Held(room) => self.take_held(&room).await,
            Unfinished::Partial(partial) => {
                let partial = self.complete(partial).await;
                self.take_held(&partial.room).await;
                self.catch_up(&partial).await;
            }
        }
        number
    }

    /// Asks servers in turn, and again after a while, until the room is whole. Gives by which join it was partial in the end.
    async fn complete(&self, mut partial: PartialRoom) -> PartialRoom {
        let (mut wait_ms, mut rounds) = (LATE_MEMBERS_WAIT_MIN_MS, 0_u32);
        loop {
            // There are rooms with members of servers whose keys nobody has any more.
            let is_patient = rounds < LATE_MEMBERS_ROUNDS_FOR_KEYS;
            let unverified = if is_patient { Unverified::Waits } else { Unverified::LeftOut };
            if self.try_complete(&partial, unverified).await {
                return partial;
            }
            match timeout(self.about(wait_ms), self.joined_anew(&partial)).await {
                Ok(anew) => {
                    partial = anew;
                    (wait_ms, rounds) = (LATE_MEMBERS_WAIT_MIN_MS, 0);
                }
                Err(_) => {
                    rounds = rounds.saturating_add(1);
                    wait_ms = wait_ms.saturating_mul(2).min(LATE_MEMBERS_WAIT_MAX_MS);
                }
            }
        }
    }

    /// Waits until a room is partial by another join than before: everybody had left, and somebody came back.
    async fn joined_anew(&self, before: &PartialRoom) -> PartialRoom {
        let mut changes = self.rooms().partial_changes();
        loop {
            changes.borrow_and_update();
            if let Ok(reader) = self.rooms().reader()
                && let Ok(Some(partial)) = reader.partial_room(before.room.number).await
                && partial.join != before.join
            {
                return partial;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Takes what was held while the room was partial, and again after a while what lacks something.
    async fn take_held(&self, room: &Arc<RoomFacts>) {
        let (mut wait_ms, mut rounds) = (LATE_MEMBERS_WAIT_MIN_MS, 0_u32);
        loop {
            let wanting = if rounds < HELD_ROUNDS_MAX { Wanting::Waits } else { Wanting::GivenUp };
            match self.ingest.take_held(room, wanting).await {
                Ok(HeldLeft::Nothing) => return,
                Ok(HeldLeft::Something) => {}
                Err(error) => tracing::warn!(room_id = %room.room_id, %error, "held events are not taken"),
            }
            tokio::time::sleep(self.about(wait_ms)).await;
            rounds = rounds.saturating_add(1);
            wait_ms = wait_ms.saturating_mul(2).min(LATE_MEMBERS_WAIT_MAX_MS);
        }
    }

    /// A time, a little longer or shorter by chance.
    fn about(&self, wait_ms: i64) -> Duration {
        Duration::from_millis(u64::try_from(self.randomness.around(wait_ms)).unwrap_or_default())
    }

    async fn try_complete(&self, partial: &PartialRoom, unverified: Unverified) -> bool {
        let _place = self.places.acquire().await;
        let room_id = &partial.room.room_id;
        for server in self.servers(partial) {
            match self.rooms().complete(room_id, &server, unverified).await {
                Ok(()) => {
                    tracing::info!(%room_id, %server, "all members of a room are known");
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

    /// What was said before others knew that anybody here is in the room came to nobody.
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
