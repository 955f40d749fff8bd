//! What each process holds in the end: plain data, for the laws.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_rooms::{Reader, StoredEvent};
use freehold_store::tables::receipts::{RECEIPTS, ReceiptKind};
use freehold_store::tables::rooms::{EVENTS, Membership, Standing};
use freehold_store::{EventNumber, Order, RoomNumber, TimelineIndex};
use ruma_common::{OwnedRoomId, UserId};

use crate::process::Process;
use crate::world::World;

/// What all honest processes hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// By the number of the process, then by room id.
    pub(crate) processes: BTreeMap<usize, BTreeMap<String, RoomSeen>>,
}

/// A room as one process holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoomSeen {
    /// Whether a user of one of its tenants is joined.
    pub(crate) is_joined: bool,
    /// Whose users are joined, by the current state.
    pub(crate) joined: BTreeSet<String>,
    /// Which of them are users of its own tenants.
    pub(crate) own: BTreeSet<String>,
    /// The events that no other follows.
    pub(crate) heads: BTreeSet<String>,
    /// The current state, by type and state key.
    pub(crate) state: BTreeMap<(String, String), String>,
    /// Up to which event others are known to have read, by user.
    pub(crate) read: BTreeMap<String, String>,
    /// The events of which the state before is known.
    pub(crate) events: BTreeMap<String, EventSeen>,
}

/// An event as one process holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventSeen {
    /// Who sent it.
    pub(crate) sender: String,
    /// Its type and, if it has one, its state key: for people.
    pub(crate) about: String,
    /// What it follows.
    pub(crate) prev_events: Vec<String>,
    /// Whether it was rejected.
    pub(crate) is_rejected: bool,
    /// Whether the current state did not allow it.
    pub(crate) is_soft_failed: bool,
    /// What it redacts, if it is a redaction.
    pub(crate) redacts: Option<String>,
    /// The redaction that took its content.
    pub(crate) redacted_by: Option<String>,
    /// Whether it is of a user of the operator who lies.
    pub(crate) is_of_liar: bool,
    /// Whether somebody leaves by it.
    pub(crate) is_leave: bool,
    /// Of a join of a user of the process: which of its users were in the room before it, as the state before it says.
    pub(crate) joins: Option<BTreeSet<String>>,
}

/// What all honest processes hold of some rooms.
pub(crate) async fn observe(world: &World, rooms: &[OwnedRoomId]) -> Observed {
    let mut observed = Observed::default();
    for place in world.honest() {
        let Some(process) = world.process(place) else { continue };
        let mut seen = BTreeMap::new();
        for room_id in rooms {
            if let Some(mut room) = room_seen(&process, room_id).await {
                for event in room.events.values_mut() {
                    let server = event.sender.split_once(':').map_or("", |(_, server)| server);
                    event.is_of_liar = world.hostile.is_some() && world.place_of(server) == world.hostile;
                }
                seen.insert(room_id.to_string(), room);
            }
        }
        observed.processes.insert(place, seen);
    }
    observed
}

async fn room_seen(process: &Process, room_id: &OwnedRoomId) -> Option<RoomSeen> {
    let reader = process.rooms.reader().unwrap();
    let number = reader.room_number(room_id).await.unwrap()?;
    // A room of which only an invite is known has no state.
    reader.current(number).await.unwrap()?;
    let mut is_joined = false;
    for tenant in process.setting.hosted.tenants() {
        is_joined |= reader.is_in_room(tenant.number(), number).await.unwrap();
    }
    let heads = reader.forward_extremities(number).await.unwrap();
    let state = reader.current_state(number).await.unwrap().events().await.unwrap();
    let rows = reader.snapshot().scan_prefix(&EVENTS, &(), Order::Ascending, usize::MAX).await.unwrap();
    let of_room = rows.iter().filter(|(_, row)| row.room == number && row.state_before.is_some());
    let numbers: Vec<EventNumber> = of_room.map(|(event, _)| *event).collect();
    let events = reader.events(&numbers).await.unwrap();
    let mut seen = BTreeMap::new();
    for event in &events {
        let joins = joins(process, &reader, event).await;
        let redacted_by = redacted_by(&reader, event).await;
        seen.insert(event.pdu.event_id().to_string(), event_seen(event, joins, redacted_by));
    }
    let members = state.iter().filter(|event| event.pdu.event_type() == "m.room.member");
    let present = members.filter(|event| event.row.membership == Some(Membership::Join));
    let (own, others): (Vec<_>, Vec<_>) = present.partition(|event| is_ours(process, event));
    let user = |event: &&Arc<StoredEvent>| event.pdu.state_key().unwrap_or_default().to_owned();
    let own: BTreeSet<String> = own.iter().map(user).collect();
    Some(RoomSeen {
        is_joined,
        joined: own.iter().cloned().chain(others.iter().map(user)).collect(),
        own,
        heads: heads.iter().map(ToString::to_string).collect(),
        read: read(&reader, number).await,
        state: state.iter().map(|event| entry(event)).collect(),
        events: seen,
    })
}

async fn read(reader: &Reader, room: RoomNumber) -> BTreeMap<String, String> {
    let snapshot = reader.snapshot();
    let rows = snapshot.scan_prefix(&RECEIPTS, &(room,), Order::Ascending, usize::MAX).await.unwrap();
    // What other servers say they say to each tenant: the last that any of them was told.
    let mut read: BTreeMap<String, (TimelineIndex, String)> = BTreeMap::new();
    for ((_, _, user, kind, thread), row) in rows {
        if kind == ReceiptKind::Read && thread.is_none() {
            let last = read.entry(snapshot.id_of(user).await.unwrap().to_string()).or_default();
            *last = last.clone().max((row.index, row.event_id.to_string()));
        }
    }
    read.into_iter().map(|(user, (_, event_id))| (user, event_id)).collect()
}

fn entry(event: &StoredEvent) -> ((String, String), String) {
    let key = (event.pdu.event_type().to_owned(), event.pdu.state_key().unwrap_or_default().to_owned());
    (key, event.pdu.event_id().to_string())
}

/// Which users of a process were in a room before another joined by an event; `None` if it is no such join. A join whose answer was
/// lost on the way is none: only others took it, and the process knows of it by what they say.
async fn joins(process: &Process, reader: &Reader, event: &StoredEvent) -> Option<BTreeSet<String>> {
    if event.row.membership != Some(Membership::Join) || !is_ours(process, event) {
        return None;
    }
    let members = reader.state_before(event).await.unwrap().members().await.unwrap();
    let is_joined = |event: &&Arc<StoredEvent>| {
        event.row.membership == Some(Membership::Join) && event.row.state_before.is_some()
    };
    let present = members.iter().filter(is_joined).filter(|member| is_ours(process, member));
    Some(present.map(|member| member.pdu.state_key().unwrap_or_default().to_owned()).collect())
}

async fn redacted_by(reader: &Reader, event: &StoredEvent) -> Option<String> {
    let redaction = reader.event(event.row.redacted_by?).await.unwrap();
    Some(redaction.pdu.event_id().to_string())
}

/// Whether an event is about a user of a process.
fn is_ours(process: &Process, event: &StoredEvent) -> bool {
    let target = event.pdu.state_key().and_then(|target| <&UserId>::try_from(target).ok());
    target.is_some_and(|user| process.setting.hosted.find(user.server_name().as_str()).is_some())
}

fn event_seen(
    event: &StoredEvent,
    joins: Option<BTreeSet<String>>,
    redacted_by: Option<String>,
) -> EventSeen {
    EventSeen {
        sender: event.pdu.sender().to_string(),
        about: format!("{} {}", event.pdu.event_type(), event.pdu.state_key().unwrap_or("-")),
        prev_events: event.pdu.prev_events().iter().map(ToString::to_string).collect(),
        is_rejected: event.row.standing == Standing::Rejected,
        is_soft_failed: event.row.standing == Standing::SoftFailed,
        redacts: event.pdu.redacts().map(ToOwned::to_owned),
        redacted_by,
        is_of_liar: false,
        is_leave: event.row.membership == Some(Membership::Leave),
        joins,
    }
}
