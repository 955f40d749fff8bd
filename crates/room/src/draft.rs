//! Making new events of a room.

use freehold_canonical_json::Object;
use freehold_event::{BuildError, EventReference, EventView, NewPdu, ProtoEvent, RoomVersion};
use freehold_event_auth::auth_types_needed;
use ruma_common::{OwnedEventId, OwnedUserId};

use crate::room::Room;
use crate::shelf::{Shelf, Stop};

/// How many forward extremities a new event has as `prev_events` at most
/// (<https://spec.matrix.org/v1.19/rooms/v12/#event-format>: "up to 20").
const PREV_EVENTS_MAX: usize = 20;

/// What the author of an event decides.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The event id, in room versions where the author chooses it.
    pub event_id: Option<OwnedEventId>,
    /// Who sends it.
    pub sender: OwnedUserId,
    /// The event type.
    pub event_type: String,
    /// The state key of a state event.
    pub state_key: Option<String>,
    /// The content.
    pub content: Object<'static>,
    /// The target of a redaction.
    pub redacts: Option<OwnedEventId>,
    /// The time, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
}

/// Why no event was made.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The machine could not go on.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// What was asked for is no event that other servers would take.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Draft {
    fn proto(self) -> ProtoEvent {
        let mut proto = ProtoEvent::new(self.sender, self.event_type);
        proto.event_id = self.event_id;
        proto.state_key = self.state_key;
        proto.content = self.content;
        proto.redacts = self.redacts;
        proto.origin_server_ts = self.origin_server_ts;
        proto
    }
}

impl Room {
    /// Makes the `m.room.create` event of a new room. `room_id` is `None` in room versions that derive it.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn draft_create(
        draft: Draft,
        room_id: Option<ruma_common::OwnedRoomId>,
        version: &'static RoomVersion,
    ) -> Result<NewPdu, BuildError> {
        let mut proto = draft.proto();
        proto.room_id = room_id;
        proto.depth = version.depth_after([]);
        proto.build(version)
    }

    /// Makes an event that comes after everything in the room, authorised by its current state.
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn draft(&self, draft: Draft, shelf: &Shelf) -> Result<NewPdu, DraftError> {
        let auth_events = self.auth_events_for(&draft, shelf)?;
        // The newest say most about the room; the others wait for the next event.
        let mut newest: Vec<_> = self.extremities.iter().collect();
        newest.sort_by_key(|extremity| (std::cmp::Reverse(extremity.depth), extremity.number));
        newest.truncate(PREV_EVENTS_MAX);
        let mut proto = draft.proto();
        proto.room_id = Some(self.room_id.clone());
        proto.depth = self.version.depth_after(newest.iter().map(|extremity| extremity.depth));
        proto.prev_events = newest.iter().map(|extremity| extremity.reference.clone()).collect();
        proto.auth_events = auth_events;
        Ok(proto.build(self.version)?)
    }

    /// The selection of auth events
    /// (<https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection>).
    fn auth_events_for(&self, draft: &Draft, shelf: &Shelf) -> Result<Vec<EventReference>, Stop> {
        let content = String::from_utf8(draft.content.to_canonical_vec()).unwrap_or_default();
        let view: EventView<'_, u64> = EventView {
            id: &0,
            event_id: "",
            room_id: Some(self.room_id.as_str()),
            event_type: &draft.event_type,
            state_key: draft.state_key.as_deref(),
            sender: draft.sender.as_str(),
            content: &content,
            origin_server_ts: draft.origin_server_ts,
            depth: 0,
            prev_events: &[],
            auth_events: &[],
            redacts: None,
            rejected: false,
        };
        let mut references = Vec::new();
        for (event_type, state_key) in auth_types_needed(&view, self.version).iter() {
            if let Some(event) = shelf.event_in(&self.state, event_type, state_key)? {
                references.push(EventReference::from(&event.pdu));
            }
        }
        Ok(references)
    }
}
