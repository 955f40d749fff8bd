//! What each process holds in the end: plain data, for the laws.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_rooms::StoredEvent;
use freehold_store::tables::rooms::{EVENTS, Membership, Standing};
use freehold_store::{EventNumber, Order};
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
    /// The events that no other follows.
    pub(crate) heads: BTreeSet<String>,
    /// The current state, by type and state key.
    pub(crate) state: BTreeMap<(String, String), String>,
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
    /// Whether its content was taken by a redaction.
    pub(crate) is_redacted: bool,
    /// Whether it is the join of a user of a tenant of the process.
    pub(crate) is_own_join: bool,
}

/// What all honest processes hold of some rooms.
pub(crate) async fn observe(world: &World, rooms: &[OwnedRoomId]) -> Observed {
    let mut observed = Observed::default();
    for place in world.honest() {
        let Some(process) = world.process(place) else { continue };
        let mut seen = BTreeMap::new();
        for room_id in rooms {
            if let Some(room) = room_seen(&process, room_id).await {
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
    Some(RoomSeen {
        is_joined,
        heads: heads.iter().map(ToString::to_string).collect(),
        state: state.iter().map(|event| entry(event)).collect(),
        events: events
            .iter()
            .map(|event| (event.pdu.event_id().to_string(), event_seen(process, event)))
            .collect(),
    })
}

fn entry(event: &StoredEvent) -> ((String, String), String) {
    let key = (event.pdu.event_type().to_owned(), event.pdu.state_key().unwrap_or_default().to_owned());
    (key, event.pdu.event_id().to_string())
}

fn event_seen(process: &Process, event: &Arc<StoredEvent>) -> EventSeen {
    let target = event.pdu.state_key().and_then(|target| <&UserId>::try_from(target).ok());
    let is_ours =
        target.is_some_and(|user| process.setting.hosted.find(user.server_name().as_str()).is_some());
    EventSeen {
        sender: event.pdu.sender().to_string(),
        about: format!("{} {}", event.pdu.event_type(), event.pdu.state_key().unwrap_or("-")),
        prev_events: event.pdu.prev_events().iter().map(ToString::to_string).collect(),
        is_rejected: event.row.standing == Standing::Rejected,
        is_soft_failed: event.row.standing == Standing::SoftFailed,
        redacts: event.pdu.redacts().map(ToOwned::to_owned),
        is_redacted: event.row.redacted_by.is_some(),
        is_own_join: is_ours && event.row.membership == Some(Membership::Join),
    }
}
