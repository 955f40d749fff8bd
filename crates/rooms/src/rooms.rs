//! The handle on all rooms.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use freehold_event::RoomVersion;
use freehold_room::ResolveBudget;
use freehold_store::tables::rooms::TENANT_ROOMS;
use freehold_store::{Clock, Interner, Places, ReadError, RoomNumber, Snapshot, Store, Tenant};
use ruma_common::{OwnedRoomId, RoomId, ServerName};

use crate::erased::Erased;
use crate::garbage::NodeWrites;
use crate::ingest::Arrivals;
use crate::labour::Labour;
use crate::loaded::Loaded;
use crate::newcomers::Newcomers;
use crate::outside::{Identities, Profiles, RemoteServers};
use crate::partial::PartialNow;
use crate::random::{Entropy, SystemEntropy};
use crate::read::{Caches, Reader};
use crate::remote::{RemoteProfiles, remote_profiles};

/// All rooms that somebody here is in. A clone is another handle on the same.
#[derive(Clone)]
pub struct Rooms(pub(crate) Arc<Inner>);

/// What rooms ask of others.
#[derive(Clone)]
pub struct Outside {
    /// Who is hosted here, and signs.
    pub identities: Arc<dyn Identities>,
    /// What people call themselves.
    pub profiles: Arc<dyn Profiles>,
    /// What other servers say.
    pub remote: Arc<dyn RemoteServers>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// What an operator decides about rooms.
#[derive(Clone, Debug)]
pub struct RoomsSettings {
    /// The version of new rooms, where neither the user nor the tenant names one.
    pub default_version: &'static RoomVersion,
    /// How many rooms lie open in memory for writing at most.
    pub open_rooms_max: usize,
    /// How many bytes of what was read are kept in memory, roughly.
    pub cache_bytes: usize,
    /// How many bytes the rooms that lie open take at most, roughly; those to which somebody writes now stay open beyond it.
    pub open_rooms_bytes: usize,
    /// Whether a room that is new here is joined with a few of its members, and somebody has the others told
    /// ([`Rooms::complete`]).
    pub omits_members: bool,
    /// The most work that the forks of a room may take to be resolved, for one event.
    pub resolve_budget: ResolveBudget,
    /// Where identifiers come from that nobody may guess.
    pub entropy: Arc<dyn Entropy>,
}

/// How much memory rooms take, in bytes, roughly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomsMemory {
    /// What was read; at most [`RoomsSettings::cache_bytes`].
    pub cache: usize,
    /// The rooms that lie open; at most [`RoomsSettings::open_rooms_bytes`], and those to which somebody writes.
    pub open_rooms: usize,
}

impl Default for RoomsSettings {
    fn default() -> Self {
        RoomsSettings {
            default_version: RoomVersion::V12,
            open_rooms_max: 512,
            cache_bytes: 16 << 20,
            open_rooms_bytes: 16 << 20,
            omits_members: false,
            resolve_budget: freehold_room::BUDGET,
            entropy: Arc::new(SystemEntropy),
        }
    }
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) interner: Interner,
    pub(crate) outside: Outside,
    pub(crate) settings: RoomsSettings,
    pub(crate) caches: Caches,
    /// The rooms that users of tenants create.
    pub(crate) places: Places<RoomNumber>,
    /// What users of other servers are called.
    pub(crate) profiles: RemoteProfiles,
    pub(crate) node_writes: NodeWrites,
    pub(crate) arrivals: Arrivals,
    pub(crate) newcomers: Newcomers,
    pub(crate) partial: PartialNow,
    /// Users whose events are shown to nobody new.
    pub(crate) erased: Erased,
    /// Who does work for processors, if somebody was named.
    pub(crate) labour: OnceLock<Arc<dyn Labour>>,
    cells: Mutex<Cells>,
    turns: Mutex<BTreeMap<OwnedRoomId, Turn>>,
    last_create_ts: AtomicI64,
}

/// Where the one writer of a room stands.
pub(crate) type Cell = Arc<tokio::sync::Mutex<Option<Loaded>>>;

/// Where those wait who ask other servers about a room.
pub(crate) type Turn = Arc<tokio::sync::Mutex<()>>;

#[derive(Default)]
struct Cells {
    by_room: BTreeMap<RoomNumber, OpenRoom>,
    used: u64,
    /// How many bytes the rooms take together.
    bytes: usize,
}

struct OpenRoom {
    cell: Cell,
    /// When it was last used: the greatest was used last.
    used: u64,
    bytes: usize,
}

impl Rooms {
    /// The rooms of a store.
    pub fn new(store: Store, interner: Interner, outside: Outside, settings: RoomsSettings) -> Self {
        let caches = Caches::new(settings.cache_bytes);
        Rooms(Arc::new(Inner {
            store,
            interner,
            outside,
            settings,
            caches,
            places: Places::new(&TENANT_ROOMS),
            profiles: remote_profiles(),
            node_writes: NodeWrites::default(),
            arrivals: Arrivals::default(),
            newcomers: Newcomers::default(),
            partial: PartialNow::default(),
            erased: Erased::default(),
            labour: OnceLock::new(),
            cells: Mutex::default(),
            turns: Mutex::default(),
            last_create_ts: AtomicI64::new(0),
        }))
    }

    /// Reads what is durable now.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn reader(&self) -> Result<Reader, ReadError> {
        Ok(self.reader_at(self.0.store.snapshot()?))
    }

    /// Reads what a snapshot shows.
    pub fn reader_at(&self, snapshot: Snapshot) -> Reader {
        Reader::new(self.clone(), snapshot)
    }

    /// The version of a tenant's rooms for which nobody asks for another.
    pub async fn default_version(&self, tenant: &Tenant) -> &'static RoomVersion {
        let policy = self.0.outside.identities.policy(tenant).await;
        policy.default_version.unwrap_or(self.0.settings.default_version)
    }

    /// The tenant of this process with a server name, if `asker` speaks with it; a tenant reaches itself.
    pub(crate) fn reached(&self, asker: &Tenant, server: &ServerName) -> Option<Tenant> {
        let identities = &self.0.outside.identities;
        let tenant = identities.tenant(server)?;
        (tenant == *asker || identities.speak(asker, server)).then_some(tenant)
    }

    /// How many rooms lie open in memory.
    pub fn open_rooms(&self) -> usize {
        self.cells().by_room.len()
    }

    /// How much memory rooms take.
    pub fn memory(&self) -> RoomsMemory {
        RoomsMemory { cache: self.0.caches.bytes(), open_rooms: self.cells().bytes }
    }

    /// The place of the one writer of a room.
    pub(crate) fn cell(&self, room: RoomNumber) -> Cell {
        let mut cells = self.cells();
        let cell = Arc::clone(&cells.used_now(room, Cell::default()).cell);
        cells.close_some(&self.0.settings);
        cell
    }

    /// Puts the place of a new room where others find it.
    pub(crate) fn put_cell(&self, room: RoomNumber, cell: Cell) {
        let mut cells = self.cells();
        let open = cells.used_now(room, Arc::clone(&cell));
        open.cell = cell;
    }

    /// Notes how many bytes a room takes that lies open.
    pub(crate) fn note_bytes(&self, room: RoomNumber, bytes: usize) {
        let mut cells = self.cells();
        let Some(open) = cells.by_room.get_mut(&room) else { return };
        let before = std::mem::replace(&mut open.bytes, bytes);
        cells.bytes = cells.bytes.saturating_sub(before).saturating_add(bytes);
    }

    /// Where those wait who ask other servers about a room.
    pub(crate) fn turn(&self, room_id: &RoomId) -> Turn {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(room_id.to_owned()).or_default())
    }

    fn cells(&self) -> MutexGuard<'_, Cells> {
        self.0.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn now_ts(&self) -> i64 {
        self.0.outside.clock.now_ts()
    }

    /// The time for a create event: no two are of the same millisecond, so that two rooms which one user makes at once
    /// do not get the same id where it is a hash of what is in the event.
    pub(crate) fn create_ts(&self) -> i64 {
        let now = self.now_ts();
        let next = |last: i64| Some(now.max(last.saturating_add(1)));
        let last = self.0.last_create_ts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        last.map_or(now, |last| now.max(last.saturating_add(1)))
    }
}

impl Cells {
    /// The entry of a room, which is used now.
    fn used_now(&mut self, room: RoomNumber, new: Cell) -> &mut OpenRoom {
        self.used += 1;
        let used = self.used;
        let open = self.by_room.entry(room).or_insert_with(|| OpenRoom { cell: new, used, bytes: 0 });
        open.used = used;
        open
    }

    /// Closes rooms that nobody writes to, those used longest ago first, when too many lie open or they take too much.
    fn close_some(&mut self, settings: &RoomsSettings) {
        let most = settings.open_rooms_max;
        let are_too_many = self.by_room.len() > most;
        if !are_too_many && self.bytes <= settings.open_rooms_bytes {
            return;
        }
        let mut idle: Vec<(u64, RoomNumber)> = self
            .by_room
            .iter()
            .filter(|(_, open)| Arc::strong_count(&open.cell) == 1)
            .map(|(room, open)| (open.used, *room))
            .collect();
        idle.sort_unstable();
        // Some more than needed, so that this is not done for each room.
        let surplus = if are_too_many { most / 4 + 1 } else { 0 };
        for (place, (_, room)) in idle.into_iter().enumerate() {
            if place >= surplus && self.bytes <= settings.open_rooms_bytes / 4 * 3 {
                break;
            }
            let closed = self.by_room.remove(&room).map_or(0, |open| open.bytes);
            self.bytes = self.bytes.saturating_sub(closed);
        }
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").finish_non_exhaustive()
    }
}
