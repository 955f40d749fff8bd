//! A room: its state, its forward extremities, and how they move.

use std::sync::Arc;

use freehold_event::{EventReference, EventView, RoomVersion};
use freehold_event_auth::{PreparedState, auth_types_needed};
use freehold_state_map::{Entry, NodeId, StateMap};
use ruma_common::{OwnedRoomId, RoomId, ServerName};

use crate::acl::ServerAcl;
use crate::event::{Event, Standing};
use crate::shelf::{Shelf, Stop};

/// A room as of its newest event.
///
/// A value: what an event does to it is in the [`Receipt`](crate::Receipt), with the room as it is afterwards.
/// Whoever keeps rooms puts that in the place of this one when the receipt is durable.
#[derive(Clone, Debug)]
pub struct Room {
    pub(crate) version: &'static RoomVersion,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) create: u64,
    pub(crate) state: StateMap,
    pub(crate) facts: Arc<Facts>,
    pub(crate) extremities: Vec<Arc<Extremity>>,
}

/// A forward extremity: an event that no other has among its `prev_events` yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extremity {
    pub(crate) number: u64,
    pub(crate) reference: EventReference,
    pub(crate) depth: i64,
    /// The root of the state after it, for those that leave the state before them as it is: most.
    pub(crate) state_after: Option<NodeId>,
}

/// What a stored room is opened from.
#[derive(Clone, Debug)]
pub struct StoredRoom {
    /// The room version.
    pub version: &'static RoomVersion,
    /// The room id.
    pub room_id: OwnedRoomId,
    /// The number of the create event.
    pub create: u64,
    /// Root of the current state.
    pub state: NodeId,
    /// The numbers of the forward extremities.
    pub forward_extremities: Vec<u64>,
}

impl Room {
    /// Opens a room.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn open(stored: &StoredRoom, shelf: &Shelf) -> Result<Self, Stop> {
        let state = shelf.open(stored.state)?;
        let extremities = shelf.events(&stored.forward_extremities)?;
        let facts = Facts::read(stored.version, &state, shelf)?;
        Ok(Room {
            version: stored.version,
            room_id: stored.room_id.clone(),
            create: stored.create,
            state,
            facts: Arc::new(facts),
            extremities: extremities.into_iter().map(|event| Arc::new(Extremity::from(&**event))).collect(),
        })
    }

    /// The room when nobody here is in it any more and it has gone on elsewhere: what was current is behind everything that
    /// comes, and nothing is judged by it.
    pub fn parted(&self) -> Self {
        Room { extremities: Vec::new(), ..self.clone() }
    }

    /// The room version.
    pub fn version(&self) -> &'static RoomVersion {
        self.version
    }

    /// The room id.
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// The number of the create event.
    pub fn create(&self) -> u64 {
        self.create
    }

    /// The current state.
    pub fn state(&self) -> &StateMap {
        &self.state
    }

    /// What the current state says about authorisation, but for memberships.
    pub fn facts(&self) -> &PreparedState<u64> {
        &self.facts.auth
    }

    /// The numbers of the forward extremities.
    pub fn forward_extremities(&self) -> Vec<u64> {
        self.extremities.iter().map(|extremity| extremity.number).collect()
    }

    /// Whether the state after a forward extremity is known to be the current one.
    pub(crate) fn has_current_state(&self, extremity: &Extremity) -> bool {
        extremity.state_after == Some(self.state.root_id())
    }

    /// Whether the room's access control list lets a server take part.
    pub fn admits(&self, server_name: &ServerName) -> bool {
        self.facts.acl.allows(server_name)
    }

    /// What the current state says about an event's authorisation.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn facts_for<Id>(
        &self,
        event: &EventView<'_, Id>,
        shelf: &Shelf,
    ) -> Result<PreparedState<u64>, Stop> {
        self.facts.with_members(event, &self.state, shelf)
    }
}

impl From<&Event> for Extremity {
    fn from(event: &Event) -> Self {
        Extremity {
            number: event.number,
            reference: EventReference::from(&event.pdu),
            depth: event.pdu.depth(),
            state_after: event.state_before.filter(|_| event.pdu.state_key().is_none()),
        }
    }
}

/// What is read of a state once: create event, power levels, join rules, access control list.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) auth: PreparedState<u64>,
    pub(crate) acl: Arc<ServerAcl>,
}

/// The state events that are read once.
const READ_ONCE: [&str; 4] =
    ["m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.server_acl"];

impl Facts {
    /// Of an empty state.
    pub(crate) fn none(version: &'static RoomVersion) -> Self {
        Facts { auth: PreparedState::new(version), acl: Arc::default() }
    }

    /// Of a state.
    pub(crate) fn read(version: &'static RoomVersion, state: &StateMap, shelf: &Shelf) -> Result<Self, Stop> {
        let mut facts = Facts::none(version);
        for event_type in READ_ONCE {
            if let Some(event) = shelf.event_in(state, event_type, "")? {
                facts.update(event);
            }
        }
        Ok(facts)
    }

    /// Brings the facts up to date with an event that comes into the state.
    pub(crate) fn update(&mut self, event: &Event) {
        match event.pdu.event_type() {
            "m.room.server_acl" if event.pdu.state_key() == Some("") => {
                self.acl = Arc::new(ServerAcl::of_content(event.pdu.content()));
            }
            // Members are many, and asked for one by one.
            "m.room.member" | "m.room.third_party_invite" => {}
            _ => self.auth.insert(&event.view()),
        }
    }

    /// The facts that the authorisation of one event asks for.
    pub(crate) fn with_members<Id>(
        &self,
        event: &EventView<'_, Id>,
        state: &StateMap,
        shelf: &Shelf,
    ) -> Result<PreparedState<u64>, Stop> {
        let mut facts = self.auth.clone();
        for (event_type, state_key) in auth_types_needed(event, facts.version()).iter() {
            if matches!(event_type, "m.room.member" | "m.room.third_party_invite")
                && let Some(found) = shelf.event_in(state, event_type, state_key)?
            {
                facts.insert(&found.view());
            }
        }
        Ok(facts)
    }
}

/// The state after an event: the one before it, with the event in it if it is a state event that was not rejected
/// (<https://spec.matrix.org/v1.19/server-server-api/#definitions>).
pub(crate) fn state_after(event: &Event, before: &StateMap, shelf: &Shelf) -> Result<StateMap, Stop> {
    let mut state = before.clone();
    let Some(state_key) = event.pdu.state_key() else {
        return Ok(state);
    };
    if event.standing == Standing::Rejected {
        return Ok(state);
    }
    if let Some(key) = shelf.state_key(event.pdu.event_type(), state_key)? {
        let entry = Entry { event: event.number, generation: event.generation };
        state.insert(key, entry, &shelf.nodes())?;
    }
    Ok(state)
}
