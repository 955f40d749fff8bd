//! A room as operators see it.

use std::collections::BTreeMap;

use freehold_event::RoomVersion;
use freehold_store::tables::identity::{EVENT_IDS, USER_IDS};
use freehold_store::tables::rooms::{
    CURRENT_STATE, EVENTS, HELD, MISSING_PREVS, PARTIAL_ROOMS, ROOM_SERVERS, ROOMS, Standing, TIMELINE,
};
use freehold_store::{EventNumber, Order, RoomNumber, Snapshot, Tenant};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, RoomId};

use crate::check::{Checking, Rows};
use crate::error::ActionError;
use crate::limits::MISSING_MAX;
use crate::loaded::version_of;
use crate::rooms::Rooms;

/// A room as operators see it, as far as it can be read.
#[derive(Clone, Debug)]
pub struct RoomPicture {
    /// Its id.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: &'static RoomVersion,
    /// Its forward extremities; an event without an id is lost.
    pub forward_extremities: Vec<Option<OwnedEventId>>,
    /// How many entries the current state has; `None` if it cannot be read.
    pub state_entries: Option<usize>,
    /// How many users are joined.
    pub joined: u64,
    /// How many users are invited.
    pub invited: u64,
    /// The servers in it and how many of their users are joined, those with most first.
    pub servers: Vec<(OwnedServerName, u64)>,
    /// Since when only a few of its members are known, in milliseconds since the Unix epoch, if that is so; then the servers are
    /// those that another server named, with a user more than is known.
    pub partial_since_ts: Option<i64>,
    /// How many events of others are held: they came before all members were known.
    pub held: u64,
    /// The tenants with joined users.
    pub tenants: Vec<Tenant>,
    /// How many events there are, by what the checks on receipt made of them.
    pub events: EventCounts,
    /// Events that are missing, and which of those that are here follows them; those at the beginning of what is known here
    /// and those in the midst of it.
    pub holes: Vec<Hole>,
    /// The servers whose users sent events, those with most first.
    pub speakers: Vec<OwnedServerName>,
}

/// How many events a room has here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Accepted ones.
    pub accepted: u64,
    /// Those that the current state of their time did not allow.
    pub soft_failed: u64,
    /// Those that were not allowed.
    pub rejected: u64,
    /// Those known only as parts of auth chains or states.
    pub outliers: u64,
    /// Those that clients are shown.
    pub shown: u64,
}

/// An event that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The event.
    pub missing: OwnedEventId,
    /// One that follows it.
    pub followed_by: Option<OwnedEventId>,
    /// Whether older events are here: otherwise it is where history begins here.
    pub is_in_the_midst: bool,
}

impl Rooms {
    /// A room as operators see it. It reads the rows of all events that the store has.
    ///
    /// # Errors
    /// [`ActionError::UnknownRoom`], and those of the store.
    pub async fn picture(&self, room_id: &RoomId) -> Result<RoomPicture, ActionError> {
        let unknown = || ActionError::UnknownRoom(room_id.to_owned());
        let snapshot = self.0.store.snapshot()?;
        let number = snapshot.number_of(&room_id.to_owned()).await?.ok_or_else(unknown)?;
        let row = snapshot.get(&ROOMS, &number).await?.ok_or_else(unknown)?;
        let current = snapshot.get(&CURRENT_STATE, &number).await?;
        let heads = current.as_ref().map(|current| current.forward_extremities.clone()).unwrap_or_default();
        let state_entries = match &current {
            Some(current) => Checking::of(&snapshot).await?.entries(current.state).await?.ok(),
            None => None,
        };
        let (events, mut speakers) = counted(&snapshot, number).await?;
        let servers = snapshot.scan_prefix(&ROOM_SERVERS, &(number,), Order::Ascending, usize::MAX).await?;
        let mut servers: Vec<(OwnedServerName, u64)> =
            servers.into_iter().map(|((_, server), row)| (server, row.joined)).collect();
        servers.sort_by_key(|(_, joined)| std::cmp::Reverse(*joined));
        speakers.sort_by_key(|(_, events)| std::cmp::Reverse(*events));
        Ok(RoomPicture {
            room_id: room_id.to_owned(),
            version: version_of(&row.version)?,
            forward_extremities: snapshot.get_many(&EVENT_IDS, &heads).await?,
            state_entries: state_entries.map(|entries| entries.len()),
            joined: current.as_ref().map_or(0, |current| current.joined),
            invited: current.as_ref().map_or(0, |current| current.invited),
            servers,
            partial_since_ts: snapshot.get(&PARTIAL_ROOMS, &number).await?.map(|row| row.since_ts),
            held: snapshot.get(&HELD, &number).await?.map_or(0, |held| held.events),
            tenants: self.reader_at(snapshot.clone()).tenants_in(number).await?,
            events,
            holes: holes(&snapshot, number).await?,
            speakers: speakers.into_iter().map(|(server, _)| server).collect(),
        })
    }
}

/// How many events of a room there are, and how many of them users of which server sent.
async fn counted(
    snapshot: &Snapshot,
    room: RoomNumber,
) -> Result<(EventCounts, Vec<(OwnedServerName, u64)>), ActionError> {
    let (mut counts, mut senders) = (EventCounts::default(), BTreeMap::new());
    let mut rows = Rows::of(&EVENTS);
    while let Some(page) = rows.next(snapshot).await? {
        for (_, row) in page.into_iter().filter(|(_, row)| row.room == room) {
            match row.standing {
                Standing::Accepted => counts.accepted += 1,
                Standing::SoftFailed => counts.soft_failed += 1,
                Standing::Rejected => counts.rejected += 1,
                Standing::Outlier => counts.outliers += 1,
            }
            counts.shown += u64::from(row.timeline.is_some());
            *senders.entry(row.sender).or_insert(0_u64) += 1;
        }
    }
    let mut servers: BTreeMap<OwnedServerName, u64> = BTreeMap::new();
    for (sender, count) in senders {
        if let Some(user_id) = snapshot.get(&USER_IDS, &sender).await? {
            *servers.entry(user_id.server_name().to_owned()).or_default() += count;
        }
    }
    Ok((counts, servers.into_iter().collect()))
}

async fn holes(snapshot: &Snapshot, room: RoomNumber) -> Result<Vec<Hole>, ActionError> {
    let first = snapshot.scan_prefix(&TIMELINE, &room, Order::Ascending, 1).await?;
    let first = first.first().map(|((_, index), _)| *index);
    let rows = snapshot.scan_prefix(&MISSING_PREVS, &(room,), Order::Ascending, MISSING_MAX).await?;
    let mut holes: BTreeMap<OwnedEventId, Hole> = BTreeMap::new();
    for ((_, missing, follower), ()) in rows {
        let place = snapshot.get(&EVENTS, &follower).await?.and_then(|row| row.timeline);
        let is_in_the_midst = place.zip(first).is_some_and(|(place, first)| place > first);
        let followed_by = id_of(snapshot, follower).await?;
        let hole = holes.entry(missing.clone()).or_insert(Hole { missing, followed_by, is_in_the_midst });
        hole.is_in_the_midst |= is_in_the_midst;
    }
    Ok(holes.into_values().collect())
}

async fn id_of(snapshot: &Snapshot, event: EventNumber) -> Result<Option<OwnedEventId>, ActionError> {
    Ok(snapshot.get(&EVENT_IDS, &event).await?)
}
