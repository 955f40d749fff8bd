//! A room that lies open in memory, and how its pieces are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_event::{Pdu, ReferenceLimits, RoomVersion};
use freehold_room::{Event, Needs, Room, Shelf, Standing, Stop, StoredRoom};
use freehold_state_map::NodeId;
use freehold_store::tables::rooms::{
    self, CURRENT_STATE, CurrentStateRow, EVENT_JSON, EVENTS, EventRow, LACKING_ROOMS, LOCAL_MEMBERS,
    Membership, PARTIAL_ROOMS, ROOMS, STATE_NODES,
};
use freehold_store::{
    BoxFuture, EventNumber, Order, ReadError, RoomNumber, Snapshot, TenantNumber, UserNumber,
};

use crate::error::ActionError;
use crate::read::ENTRY_BYTES;
use crate::rooms::Rooms;
use crate::servers::foreign_servers;

/// A room that lies open in memory, as of what is durable.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) machine: Room,
    pub(crate) shelf: Shelf,
    pub(crate) row: CurrentStateRow,
    pub(crate) locals: Locals,
    /// How many servers are in the room that are not hosted here.
    pub(crate) foreign_servers: u64,
    /// Whether only a few members are known.
    pub(crate) is_partial: bool,
    /// Whether part of the state could not be verified yet.
    pub(crate) is_lacking: bool,
}

/// The users of tenants in a room: who is woken by what happens there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locals(pub(crate) Arc<BTreeMap<UserNumber, (TenantNumber, Membership)>>);

/// Over how many events a shelf is cleared; what is needed comes back by itself.
const SHELF_MAX: usize = 32;

impl Loaded {
    pub(crate) async fn load(
        rooms: &Rooms,
        snapshot: &Snapshot,
        number: RoomNumber,
    ) -> Result<Option<Self>, ActionError> {
        let Some(room) = snapshot.get(&ROOMS, &number).await? else {
            return Ok(None);
        };
        let row = snapshot.get(&CURRENT_STATE, &number).await?;
        let row = row.ok_or_else(|| ActionError::damaged("a room without a state"))?;
        let version = version_of(&room.version)?;
        let stored = StoredRoom {
            version,
            room_id: snapshot.id_of(number).await?,
            create: room.create.0,
            state: NodeId::from_bytes(row.state),
            forward_extremities: row.forward_extremities.iter().map(|event| event.0).collect(),
        };
        let mut shelf = Shelf::new();
        let machine = loop {
            match Room::open(&stored, &shelf) {
                Ok(machine) => break machine,
                Err(stop) => fulfil(snapshot, version, &mut shelf, stop).await?,
            }
        };
        let locals = Locals::load(snapshot, number).await?;
        let foreign_servers = foreign_servers(rooms, snapshot, number).await?;
        let is_partial = snapshot.get(&PARTIAL_ROOMS, &number).await?.is_some();
        let is_lacking = snapshot.get(&LACKING_ROOMS, &number).await?.is_some();
        Ok(Some(Loaded { machine, shelf, row, locals, foreign_servers, is_partial, is_lacking }))
    }

    /// How many bytes it takes in memory, roughly and at most: as if all of the state had been read.
    pub(crate) fn bytes(&self) -> usize {
        const ROOM: usize = 4 * 1024;
        const LOCAL: usize = 56;
        const EVENT: usize = 2 * 1024;
        let entries = self.machine.state().len().saturating_mul(ENTRY_BYTES);
        let locals = self.locals.0.len().saturating_mul(LOCAL);
        ROOM.saturating_add(entries).saturating_add(locals).saturating_add(self.shelf.events_len() * EVENT)
    }

    /// Takes off the shelf what is not needed soon, and everything if it holds much.
    pub(crate) fn trim(&mut self) {
        self.shelf.tidy(&self.machine.forward_extremities());
        if self.shelf.events_len() > SHELF_MAX {
            self.shelf = Shelf::new();
        }
    }
}

impl Locals {
    async fn load(snapshot: &Snapshot, room: RoomNumber) -> Result<Self, ReadError> {
        let rows = snapshot.scan_prefix(&LOCAL_MEMBERS, &(room,), Order::Ascending, usize::MAX).await?;
        let members = rows.into_iter().map(|((_, tenant, user), membership)| (user, (tenant, membership)));
        Ok(Locals(Arc::new(members.collect())))
    }

    /// Those who are joined.
    pub(crate) fn joined(&self) -> impl Iterator<Item = UserNumber> {
        let joined = self.0.iter().filter(|(_, (_, membership))| *membership == Membership::Join);
        joined.map(|(user, _)| *user)
    }

    /// Whether users of another tenant than this are joined.
    pub(crate) fn has_others(&self, tenant: TenantNumber) -> bool {
        self.0.values().any(|(of, membership)| *of != tenant && *membership == Membership::Join)
    }
}

/// The room version with this identifier, which the store names.
pub(crate) fn version_of(id: &str) -> Result<&'static RoomVersion, ActionError> {
    RoomVersion::find(id).ok_or_else(|| ActionError::damaged("a room of an unknown version"))
}

/// Puts on the shelf what the machine needs.
///
/// # Errors
/// `stop` itself, if it is not about needs; [`ActionError::Damaged`] when the store lacks something.
pub(crate) fn fulfil<'a>(
    snapshot: &'a Snapshot,
    version: &'static RoomVersion,
    shelf: &'a mut Shelf,
    stop: Stop,
) -> BoxFuture<'a, Result<(), ActionError>> {
    Box::pin(fetch_needs(snapshot, version, shelf, stop))
}

async fn fetch_needs(
    snapshot: &Snapshot,
    version: &'static RoomVersion,
    shelf: &mut Shelf,
    stop: Stop,
) -> Result<(), ActionError> {
    let Stop::Needs(needs) = stop else {
        return Err(stop.into());
    };
    let Needs { events, event_ids, state_keys, nodes } = *needs;
    for number in &events {
        let event = read_event(snapshot, version, EventNumber(*number)).await?;
        shelf.put_event(Arc::new(event.ok_or_else(|| ActionError::damaged("an event is missing"))?));
    }
    let event_ids: Vec<_> = event_ids.into_iter().collect();
    for (event_id, number) in event_ids.iter().zip(snapshot.numbers_of(&event_ids).await?) {
        let kept = match number {
            Some(number) => snapshot.get(&EVENTS, &number).await?.map(|_| number.0),
            None => None,
        };
        shelf.put_number(event_id.clone(), kept);
    }
    let state_keys: Vec<_> = state_keys.into_iter().collect();
    let numbers = snapshot.numbers_of(&state_keys).await?;
    for (key, number) in state_keys.into_iter().zip(numbers) {
        shelf.put_state_key(key, number.map(|number| number.0));
    }
    for node in nodes {
        let bytes = snapshot.get(&STATE_NODES, node.as_bytes()).await?;
        shelf.put_node(node, bytes.ok_or_else(|| ActionError::damaged("a node of a state is missing"))?);
    }
    Ok(())
}

/// An event with all the machine wants to know.
pub(crate) async fn read_event(
    snapshot: &Snapshot,
    version: &'static RoomVersion,
    number: EventNumber,
) -> Result<Option<Event>, ActionError> {
    let (Some(row), Some(json)) =
        (snapshot.get(&EVENTS, &number).await?, snapshot.get(&EVENT_JSON, &number).await?)
    else {
        return Ok(None);
    };
    Ok(Some(event_of(number, &row, parse(&json, version)?)))
}

/// A stored event.
pub(crate) fn parse(json: &str, version: &'static RoomVersion) -> Result<Pdu, ActionError> {
    Pdu::parse_with(json.as_bytes(), version, ReferenceLimits::BACKFILL)
        .map_err(|error| ActionError::Damaged(Box::new(error)))
}

fn event_of(number: EventNumber, row: &EventRow, pdu: Pdu) -> Event {
    Event {
        number: number.0,
        pdu,
        prev_events: row.prev_events.iter().map(|event| event.0).collect(),
        auth_events: row.auth_events.iter().map(|event| event.0).collect(),
        generation: row.generation,
        standing: standing_of(row.standing),
        state_before: row.state_before.map(NodeId::from_bytes),
    }
}

fn standing_of(standing: rooms::Standing) -> Standing {
    match standing {
        rooms::Standing::Accepted => Standing::Accepted,
        rooms::Standing::SoftFailed => Standing::SoftFailed,
        rooms::Standing::Rejected => Standing::Rejected,
        rooms::Standing::Outlier => Standing::Outlier,
    }
}

/// The standing as a row says it.
pub(crate) fn standing_row(standing: Standing) -> rooms::Standing {
    match standing {
        Standing::Accepted => rooms::Standing::Accepted,
        Standing::SoftFailed => rooms::Standing::SoftFailed,
        Standing::Rejected => rooms::Standing::Rejected,
        Standing::Outlier => rooms::Standing::Outlier,
    }
}
