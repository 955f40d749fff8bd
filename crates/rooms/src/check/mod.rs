//! Whether what the store has of rooms is what follows from their events.
//!
//! Everything is computed anew from the texts of the events: ids, hashes, the state before each of them and the current state
//! of each room through state resolution, and from that state the members. Memory is bounded by the largest state of a room.

mod current;
mod deep;
mod event;
mod members;
mod states;
mod timeline;

use std::collections::BTreeMap;

use self::deep::Deep;
use crate::rooms::Rooms;

use freehold_store::tables::identity::EVENT_IDS;
use freehold_store::tables::rooms::{EVENTS, EventRow, ROOMS, RoomRow};
use freehold_store::tables::tenancy::{TENANT_NUMBERS, TENANTS, TenantState};
use freehold_store::{EventNumber, Key, ReadError, RoomNumber, Snapshot, Table, TenantNumber, Value};
use ruma_common::{OwnedServerName, OwnedUserId};

/// How many rows are read at a time.
pub(crate) const PAGE: usize = 256;
/// How many findings are listed; the others are counted.
const LISTED: usize = 1_000;

/// What a check of all rooms found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomsCheck {
    /// How many rooms were looked at.
    pub rooms: u64,
    /// How many events were looked at.
    pub events: u64,
    /// Of how many of them signatures and verdict were looked at.
    pub rejudged: u64,
    /// Of how many of those no key is here that could say whether they are signed.
    pub unverified: u64,
    /// How many things are wrong.
    pub faults: u64,
    /// The first of them.
    pub findings: Vec<RoomFinding>,
}

/// Something that is wrong with a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomFinding {
    /// The table whose row is wrong.
    pub table: &'static str,
    /// The room.
    pub room: RoomNumber,
    /// The event, if it is about one.
    pub event: Option<EventNumber>,
    /// What is wrong.
    pub fault: RoomFault,
}

/// What is wrong with a room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomFault {
    /// The text is no event of a room of this version.
    #[error("text is no event of room version {version}")]
    Format {
        /// The room version.
        version: String,
    },
    /// The text belongs elsewhere.
    #[error("text is of event {found}")]
    OtherEvent {
        /// The id of the event whose text it is.
        found: String,
    },
    /// The text is of an event of another room.
    #[error("text is of an event of room {found}")]
    OtherRoom {
        /// The id of that room.
        found: String,
    },
    /// The text is not what was hashed, and not what a redaction leaves of it either.
    #[error("text has another content hash than it says")]
    ContentHash,
    /// There is nothing that could be the signature of a server who must sign.
    #[error("nothing has the form of a signature of {server}")]
    Signature {
        /// The server.
        server: String,
    },
    /// The row says something else than the text.
    #[error("row has another {member} than the text")]
    Row {
        /// The member of the event.
        member: &'static str,
    },
    /// The state before the event is not what comes after its `prev_events`.
    #[error("state before the event is not the state after its prev_events")]
    StateBefore,
    /// The current state is not what comes after the forward extremities.
    #[error("current state is not the state after the forward extremities")]
    CurrentState,
    /// The newest entry of the history of states is not the current state.
    #[error("newest entry is not the current state")]
    StateHistory,
    /// A state cannot be computed.
    #[error("state cannot be computed: {reason}")]
    NoState {
        /// Why.
        reason: String,
    },
    /// The number of members is wrong.
    #[error("row counts {said} users as {membership}, the state has {counted}")]
    Count {
        /// The membership.
        membership: &'static str,
        /// How many the row says.
        said: u64,
        /// How many the state has.
        counted: u64,
    },
    /// A member is not what the state says.
    #[error("row of {user} says {said:?}, the state {found:?}")]
    Member {
        /// The user.
        user: OwnedUserId,
        /// What the row says, if there is one.
        said: Option<freehold_store::tables::rooms::Membership>,
        /// What the state says, if it says anything.
        found: Option<freehold_store::tables::rooms::Membership>,
    },
    /// The number of a server's users is wrong.
    #[error("row counts {said} joined users of {server}, the state has {counted}")]
    Server {
        /// The server.
        server: OwnedServerName,
        /// How many the row says; 0 if there is none.
        said: u64,
        /// How many the state has.
        counted: u64,
    },
    /// The row names another member event than the state.
    #[error("row of {user} names another member event than the state")]
    MemberEvent {
        /// The user.
        user: OwnedUserId,
    },
    /// It is not noted when the user joined.
    #[error("nothing says when {user} joined")]
    MemberChange {
        /// The user.
        user: OwnedUserId,
    },
    /// An event stands elsewhere than its row says, or should not be shown.
    #[error("timeline and row of the event do not belong to each other")]
    Timeline,
    /// An event that was made here stands before one that it follows.
    #[error("event stands before one of its prev_events")]
    TimelineOrder,
    /// A signature is not that of its server.
    #[error("{reason}")]
    Forged {
        /// What is wrong.
        reason: String,
    },
    /// The event is kept as rejected, and the rules allow it.
    #[error("event is rejected, and the authorisation rules allow it")]
    RejectedThoughAllowed,
    /// The event is kept as one that is allowed, and the rules refuse it.
    #[error("event was taken, and the authorisation rules refuse it: {reason}")]
    TakenThoughRefused {
        /// Why.
        reason: String,
    },
    /// It cannot be said what the rules make of the event.
    #[error("event cannot be judged anew: {reason}")]
    NoVerdict {
        /// Why.
        reason: String,
    },
    /// The last event of the timeline is another.
    #[error("row names another event as the last of the timeline")]
    TimelineEnd,
}

/// Checks all rooms of a snapshot.
///
/// # Errors
/// [`ReadError`] when the engine fails, or a row cannot be read at all: [`freehold_store::check::check_rows`] names those.
pub async fn check_rooms(snapshot: &Snapshot) -> Result<RoomsCheck, ReadError> {
    check_all(snapshot, None, &mut |_| ()).await
}

impl Rooms {
    /// The same, and judges each event anew: whether its signatures are those of its servers, as far as their keys are here, and
    /// whether the authorisation rules still say of it what they said when it came. What was found so far is told now and then.
    ///
    /// # Errors
    /// As those of [`check_rooms`].
    pub async fn check_deep(
        &self,
        snapshot: &Snapshot,
        told: &mut (dyn FnMut(&RoomsCheck) + Send),
    ) -> Result<RoomsCheck, ReadError> {
        let deep = Deep::new(&*self.0.outside.identities, self.now_ts());
        check_all(snapshot, Some(deep), told).await
    }
}

async fn check_all(
    snapshot: &Snapshot,
    mut deep: Option<Deep<'_>>,
    told: &mut (dyn FnMut(&RoomsCheck) + Send),
) -> Result<RoomsCheck, ReadError> {
    let mut check = Checking::of(snapshot).await?;
    let mut rows = Rows::of(&EVENTS);
    while let Some(page) = rows.next(snapshot).await? {
        check.events(&page).await?;
        if let Some(deep) = deep.as_mut() {
            check.all_anew(&page, deep).await?;
        }
        told(&check.found);
    }
    let mut rows = Rows::of(&ROOMS);
    while let Some(page) = rows.next(snapshot).await? {
        for (number, row) in &page {
            check.room(*number, row).await?;
        }
    }
    Ok(check.found)
}

/// A check under way.
pub(crate) struct Checking<'s> {
    snapshot: &'s Snapshot,
    /// The tenants, and which of them are in service.
    pub(crate) tenants: BTreeMap<OwnedServerName, (TenantNumber, bool)>,
    pub(crate) found: RoomsCheck,
}

impl<'s> Checking<'s> {
    /// A check of what a snapshot shows.
    pub(crate) async fn of(snapshot: &'s Snapshot) -> Result<Self, ReadError> {
        Ok(Checking { snapshot, tenants: tenants(snapshot).await?, found: RoomsCheck::default() })
    }

    /// Takes what was found so far.
    pub(crate) fn take_findings(&mut self) -> Vec<RoomFinding> {
        std::mem::take(&mut self.found.findings)
    }
}

impl Checking<'_> {
    /// Checks some events.
    pub(crate) async fn events(&mut self, page: &[(EventNumber, EventRow)]) -> Result<(), ReadError> {
        let numbers: Vec<EventNumber> = page.iter().map(|(number, _)| *number).collect();
        let ids = self.snapshot.get_many(&EVENT_IDS, &numbers).await?;
        for ((number, row), event_id) in page.iter().zip(ids) {
            self.found.events += 1;
            // An event without an id or without a room is found by `check_references`.
            let (Some(event_id), Some(room)) = (event_id, self.snapshot.get(&ROOMS, &row.room).await?) else {
                continue;
            };
            let named = self.event((*number, event_id), row, &room).await?;
            // What comes after events that are not here was given by others.
            if named.is_none_or(|named| named == row.prev_events.len()) {
                self.state_before(*number, row, &room).await?;
            }
        }
        Ok(())
    }

    /// Judges some events anew.
    async fn all_anew(
        &mut self,
        page: &[(EventNumber, EventRow)],
        deep: &mut Deep<'_>,
    ) -> Result<(), ReadError> {
        for (number, row) in page {
            if let Some(room) = self.snapshot.get(&ROOMS, &row.room).await? {
                self.anew((*number, row), &room, deep).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn room(&mut self, number: RoomNumber, row: &RoomRow) -> Result<(), ReadError> {
        self.found.rooms += 1;
        self.current_state(number, row).await?;
        self.timeline(number).await
    }

    fn report(
        &mut self,
        table: &'static str,
        (room, event): (RoomNumber, Option<EventNumber>),
        fault: RoomFault,
    ) {
        self.found.faults += 1;
        if self.found.findings.len() < LISTED {
            self.found.findings.push(RoomFinding { table, room, event, fault });
        }
    }
}

async fn tenants(snapshot: &Snapshot) -> Result<BTreeMap<OwnedServerName, (TenantNumber, bool)>, ReadError> {
    let mut rows = Rows::of(&TENANT_NUMBERS);
    let mut tenants = BTreeMap::new();
    while let Some(page) = rows.next(snapshot).await? {
        let numbers: Vec<TenantNumber> = page.iter().map(|(_, number)| *number).collect();
        let states = snapshot.get_many(&TENANTS, &numbers).await?;
        let states =
            states.iter().map(|row| row.as_ref().is_some_and(|row| row.state == TenantState::Active));
        let found = page.into_iter().zip(states);
        tenants.extend(found.map(|((name, number), active)| (name, (number, active))));
    }
    Ok(tenants)
}

/// The rows of a table, a page at a time.
pub(crate) struct Rows<'t, K, V> {
    table: &'t Table<K, V>,
    after: Option<K>,
}

impl<'t, K: Key + Clone, V: Value> Rows<'t, K, V> {
    pub(crate) fn of(table: &'t Table<K, V>) -> Self {
        Rows { table, after: None }
    }

    pub(crate) async fn next(&mut self, snapshot: &Snapshot) -> Result<Option<Vec<(K, V)>>, ReadError> {
        let rows = snapshot.scan_after(self.table, self.after.as_ref(), PAGE).await?;
        self.after = rows.last().map(|(key, _)| key.clone());
        Ok((!rows.is_empty()).then_some(rows))
    }
}
