//! Who is to be given the events of a room as they happen, remembered for as long as nothing changes.
//!
//! A queue that is behind reads the log by itself, so that an event is none of its business: what an event costs depends on
//! the servers that keep up, however many others are in the room and do not answer.

use std::sync::Arc;
use std::time::Duration;

use freehold_rooms::{Reader, Unreadable};
use freehold_store::{Position, RoomNumber, TenantNumber};
use lru::LruCache;
use tokio::time::Instant;

use super::service::Outbound;
use super::state::Key;
use crate::limits::{AUDIENCE_MS_MAX, AUDIENCE_SERVERS_MAX};

/// The root of a room's state: who is in the room follows from it.
type StateRoot = Option<[u8; 20]>;

/// The servers of others in a room that are to be given a tenant's events.
pub(super) struct Audience {
    /// The queues, with since when each server is in the room.
    pub(super) queues: Vec<(Key, Position)>,
    /// How often queues of the tenant had fallen behind or caught up; `None` if all servers are in it, whatever their queues
    /// do.
    pub(super) shifts: Option<u64>,
    state: StateRoot,
    read: Instant,
}

/// Who is included.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    /// Servers whose queues keep up.
    Attentive,
    /// All servers.
    All,
}

/// Audiences of rooms. Together they are bounded by the number of servers in them.
pub(super) struct Audiences {
    rooms: LruCache<(TenantNumber, RoomNumber), Arc<Audience>>,
    servers: usize,
}

impl Default for Audiences {
    fn default() -> Self {
        Audiences { rooms: LruCache::unbounded(), servers: 0 }
    }
}

impl Audiences {
    /// What is remembered of a room, if its state and the tenant's queues are as they were.
    fn get(
        &mut self,
        place: (TenantNumber, RoomNumber),
        (state, shifts): (StateRoot, u64),
    ) -> Option<Arc<Audience>> {
        let known = self.rooms.get(&place)?;
        let is_old = known.read.elapsed() >= Duration::from_millis(AUDIENCE_MS_MAX);
        (known.state == state && known.shifts == Some(shifts) && !is_old).then(|| Arc::clone(known))
    }

    fn put(&mut self, place: (TenantNumber, RoomNumber), audience: &Arc<Audience>) {
        self.servers += audience.weight();
        let before = self.rooms.put(place, Arc::clone(audience));
        self.servers -= before.map_or(0, |before| before.weight());
        while self.servers > AUDIENCE_SERVERS_MAX
            && self.rooms.len() > 1
            && let Some((_, forgotten)) = self.rooms.pop_lru()
        {
            self.servers -= forgotten.weight();
        }
    }
}

impl Audience {
    /// A room takes some place even if nobody is in it.
    fn weight(&self) -> usize {
        self.queues.len() + 4
    }
}

impl Outbound {
    /// Who is to be given a tenant's events in a room.
    pub(super) async fn audience(
        &self,
        reader: &Reader,
        place: (TenantNumber, RoomNumber),
        include: Include,
    ) -> Result<Arc<Audience>, Unreadable> {
        let (tenant, room) = place;
        let state = reader.current(room).await?.map(|row| row.state);
        if include == Include::Attentive {
            let mut all = self.0.lock();
            let shifts = all.progress(tenant).shifts;
            if let Some(known) = all.audiences.get(place, (state, shifts)) {
                return Ok(known);
            }
        }
        let identities = &self.0.parts.identities;
        let servers = reader.servers_in(room).await?.into_iter();
        let foreign = servers.filter(|(server, _)| identities.tenant(server).is_none());
        let mut queues: Vec<(Key, Position)> =
            foreign.map(|(server, in_room)| ((tenant, server), in_room.since)).collect();
        let read = Instant::now();
        if include == Include::All {
            return Ok(Arc::new(Audience { queues, shifts: None, state, read }));
        }
        let mut all = self.0.lock();
        queues.retain(|(key, _)| all.is_attentive(key));
        queues.shrink_to_fit();
        let shifts = Some(all.progress(tenant).shifts);
        let audience = Arc::new(Audience { queues, shifts, state, read });
        all.audiences.put(place, &audience);
        Ok(audience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audience(servers: usize, shifts: u64) -> Arc<Audience> {
        let name = |number| format!("s{number}.example").try_into().unwrap();
        let queues = (0..servers).map(|number| ((TenantNumber(1), name(number)), Position(0))).collect();
        Arc::new(Audience { queues, shifts: Some(shifts), state: Some([1; 20]), read: Instant::now() })
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_remembered_until_the_state_the_queues_or_the_time_are_others() {
        let mut audiences = Audiences::default();
        let place = (TenantNumber(1), RoomNumber(1));
        audiences.put(place, &audience(3, 7));
        assert!(audiences.get(place, (Some([1; 20]), 7)).is_some());
        assert!(audiences.get((TenantNumber(2), RoomNumber(1)), (Some([1; 20]), 7)).is_none());
        assert!(audiences.get(place, (Some([2; 20]), 7)).is_none());
        assert!(audiences.get(place, (Some([1; 20]), 8)).is_none());
        tokio::time::advance(Duration::from_millis(AUDIENCE_MS_MAX)).await;
        assert!(audiences.get(place, (Some([1; 20]), 7)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn all_of_them_have_so_many_servers_at_most() {
        let mut audiences = Audiences::default();
        let many = AUDIENCE_SERVERS_MAX / 4;
        for room in 1..=9 {
            audiences.put((TenantNumber(1), RoomNumber(room)), &audience(many, 0));
            audiences.put((TenantNumber(1), RoomNumber(room)), &audience(many, 1));
        }
        let held: usize = audiences.rooms.iter().map(|(_, audience)| audience.weight()).sum();
        assert!(held == audiences.servers && held <= AUDIENCE_SERVERS_MAX, "{held} {}", audiences.servers);
        audiences.put((TenantNumber(1), RoomNumber(10)), &audience(AUDIENCE_SERVERS_MAX + 1, 0));
        assert_eq!(audiences.rooms.len(), 1, "the last is held however large it is");
    }
}
