//! Reading rooms: everything that syncs and requests show of them.
//!
//! A [`Reader`] shows what was durable at one position. Nothing here asks who is reading but [`Reader::visible`] and
//! [`Reader::client_event`]: callers show an event to somebody only after the first said so.

mod bundled;
mod client_event;
mod event;
mod gaps;
mod replaced;
mod sharing;
mod state;
mod timeline;
mod visibility;
mod without_place;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use freehold_event::RoomVersion;
use freehold_state_map::{NodeId, StateMap};
use freehold_store::tables::identity::USER_IDS;
use freehold_store::tables::rooms::{
    CURRENT_STATE, CurrentStateRow, LOCAL_MEMBERS, MEMBERSHIPS, Membership, MembershipRow, ROOMS,
};
use freehold_store::{
    EventNumber, Order, Position, ReadError, RoomNumber, Snapshot, StateKeyNumber, Tenant, TenantNumber,
    UserNumber,
};
use ruma_common::{OwnedRoomId, RoomId};

pub use client_event::ClientFormat;
pub use event::StoredEvent;
pub use sharing::MembersElsewhere;
pub(crate) use state::ENTRY_BYTES;
pub use state::{RoomState, StateChange};
pub use timeline::Between;
pub(crate) use visibility::HistoryVisibility;
pub use visibility::Viewer;

use crate::cache::Cache;
use crate::error::ActionError;
use crate::loaded::version_of;
use crate::rooms::Rooms;

/// What was durable at one position. A clone shows the same.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) rooms: Rooms,
    pub(crate) snapshot: Snapshot,
}

/// What never changes in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomFacts {
    /// The room.
    pub number: RoomNumber,
    /// Its id.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: &'static RoomVersion,
    /// Its `m.room.create` event.
    pub create: EventNumber,
}

/// Why a room cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something is missing or damaged; a fault here.
    #[error("the room is damaged")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Unreadable {
    pub(crate) fn damaged(what: &'static str) -> Self {
        Unreadable::Damaged(what.into())
    }
}

impl From<ActionError> for Unreadable {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Read(error) => Unreadable::Read(error),
            error => Unreadable::Damaged(Box::new(error)),
        }
    }
}

impl From<Unreadable> for ActionError {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Read(error) => ActionError::Read(error),
            Unreadable::Damaged(error) => ActionError::Damaged(error),
        }
    }
}

/// What is kept in memory of what was read.
pub(crate) struct Caches {
    events: Cache<EventNumber, Arc<StoredEvent>>,
    states: Cache<NodeId, StateMap>,
    state_keys: Cache<StateKeyNumber, Arc<(String, String)>>,
    /// The same the other way round: what is asked for in every room has one number.
    key_numbers: Cache<(String, String), StateKeyNumber>,
    rooms: Cache<RoomNumber, Arc<RoomFacts>>,
    /// The position of the last change of an event that was here: what was read before may be whole where it no longer should
    /// be.
    changed_at: AtomicU64,
}

impl Caches {
    /// Caches that together hold at most this many bytes, roughly.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Caches {
            events: Cache::new(bytes_max / 2),
            states: Cache::new(bytes_max / 4),
            state_keys: Cache::new(bytes_max / 8),
            key_numbers: Cache::new(bytes_max / 16),
            rooms: Cache::new(bytes_max / 16),
            changed_at: AtomicU64::new(0),
        }
    }

    /// How many bytes all of them hold.
    pub(crate) fn bytes(&self) -> usize {
        let numbers = self.state_keys.bytes() + self.key_numbers.bytes();
        self.events.bytes() + self.states.bytes() + numbers + self.rooms.bytes()
    }

    /// Forgets events that were changed at a position: redacted, or outliers before.
    pub(crate) fn changed(&self, position: Position, events: &[EventNumber]) {
        let floor = || {
            self.changed_at.fetch_max(position.0, Ordering::SeqCst);
        };
        self.events.forget(events.iter().copied(), floor);
    }
}

impl Reader {
    pub(crate) fn new(rooms: Rooms, snapshot: Snapshot) -> Self {
        Reader { rooms, snapshot }
    }

    /// The position of the last change that it shows.
    pub fn position(&self) -> Position {
        self.snapshot.position()
    }

    /// The snapshot that it reads.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The number of a room, if it is known here.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn room_number(&self, room_id: &RoomId) -> Result<Option<RoomNumber>, Unreadable> {
        Ok(self.snapshot.number_of(&room_id.to_owned()).await?)
    }

    /// What never changes in a room, if it is known here.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn room(&self, room: RoomNumber) -> Result<Option<Arc<RoomFacts>>, Unreadable> {
        if let Some(facts) = self.caches().rooms.get(&room) {
            return Ok(Some(facts));
        }
        let Some(row) = self.snapshot.get(&ROOMS, &room).await? else {
            return Ok(None);
        };
        let room_id = self.snapshot.id_of(room).await?;
        let version = version_of(&row.version)?;
        let facts = Arc::new(RoomFacts { number: room, room_id, version, create: row.create });
        self.caches().rooms.put(room, Arc::clone(&facts), ROOM_BYTES);
        Ok(Some(facts))
    }

    /// The newest state of a room as the store has it: member counts, forward extremities, last timeline index.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn current(&self, room: RoomNumber) -> Result<Option<CurrentStateRow>, Unreadable> {
        Ok(self.snapshot.get(&CURRENT_STATE, &room).await?)
    }

    /// All rooms that a user of a tenant has, or had, to do with; forgotten ones too.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn memberships(
        &self,
        user: UserNumber,
    ) -> Result<Vec<(RoomNumber, MembershipRow)>, Unreadable> {
        let rows = self.snapshot.scan_prefix(&MEMBERSHIPS, &(user,), Order::Ascending, usize::MAX).await?;
        Ok(rows.into_iter().map(|((_, room), row)| (room, row)).collect())
    }

    /// How a user of a tenant stands to a room.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn membership(
        &self,
        user: UserNumber,
        room: RoomNumber,
    ) -> Result<Option<MembershipRow>, Unreadable> {
        Ok(self.snapshot.get(&MEMBERSHIPS, &(user, room)).await?)
    }

    /// How a user of a tenant stands to those of some rooms that the user has, or had, to do with.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn memberships_in(
        &self,
        user: UserNumber,
        rooms: &BTreeSet<RoomNumber>,
    ) -> Result<Vec<(RoomNumber, MembershipRow)>, Unreadable> {
        let places: Vec<_> = rooms.iter().map(|room| (user, *room)).collect();
        let rows = self.snapshot.get_many(&MEMBERSHIPS, &places).await?;
        Ok(rooms.iter().zip(rows).filter_map(|(room, row)| Some((*room, row?))).collect())
    }

    /// A room, if a user of a tenant is joined to it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn joined_room(
        &self,
        user: UserNumber,
        room_id: &RoomId,
    ) -> Result<Option<RoomNumber>, Unreadable> {
        let Some(room) = self.room_number(room_id).await? else { return Ok(None) };
        let membership = self.membership(user, room).await?;
        Ok(membership.filter(|row| row.membership == Membership::Join).map(|_| room))
    }

    /// The users of tenants that have, or had, to do with a room.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn local_members(
        &self,
        room: RoomNumber,
    ) -> Result<Vec<(TenantNumber, UserNumber, Membership)>, Unreadable> {
        let rows = self.snapshot.scan_prefix(&LOCAL_MEMBERS, &(room,), Order::Ascending, usize::MAX).await?;
        Ok(rows.into_iter().map(|((_, tenant, user), membership)| (tenant, user, membership)).collect())
    }

    /// The users of tenants who are joined to a room.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn local_joined(&self, room: RoomNumber) -> Result<Vec<UserNumber>, Unreadable> {
        let members = self.local_members(room).await?.into_iter();
        Ok(members
            .filter(|(.., membership)| *membership == Membership::Join)
            .map(|(_, user, _)| user)
            .collect())
    }

    /// The users of a tenant that have, or had, to do with a room.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn members_of(
        &self,
        tenant: TenantNumber,
        room: RoomNumber,
    ) -> Result<Vec<(UserNumber, Membership)>, Unreadable> {
        let rows =
            self.snapshot.scan_prefix(&LOCAL_MEMBERS, &(room, tenant), Order::Ascending, usize::MAX).await?;
        Ok(rows.into_iter().map(|((.., user), membership)| (user, membership)).collect())
    }

    /// The users of a tenant who are joined to a room.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn joined_of(
        &self,
        tenant: TenantNumber,
        room: RoomNumber,
    ) -> Result<Vec<UserNumber>, Unreadable> {
        let members = self.members_of(tenant, room).await?.into_iter();
        Ok(members.filter(|(_, membership)| *membership == Membership::Join).map(|(user, _)| user).collect())
    }

    /// The tenants with joined users in a room.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn tenants_in(&self, room: RoomNumber) -> Result<Vec<Tenant>, Unreadable> {
        let (mut seen, mut tenants) = (BTreeSet::new(), Vec::new());
        for (tenant, user, membership) in self.local_members(room).await? {
            if membership == Membership::Join
                && seen.insert(tenant)
                && let Some(user_id) = self.snapshot.get(&USER_IDS, &user).await?
            {
                tenants.extend(self.rooms.0.outside.identities.tenant(user_id.server_name()));
            }
        }
        Ok(tenants)
    }

    /// Whether a tenant has joined users in a room: whether it would be in the room if it were a server of its own.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn is_in_room(&self, tenant: TenantNumber, room: RoomNumber) -> Result<bool, Unreadable> {
        let members = self.members_of(tenant, room).await?;
        Ok(members.iter().any(|(_, membership)| *membership == Membership::Join))
    }

    pub(crate) fn caches(&self) -> &Caches {
        &self.rooms.0.caches
    }
}

const ROOM_BYTES: usize = 256;
