//! Rooms: what servers that are in them may see of them.

mod error;
mod events;
mod history;
mod lists;
mod state;

use crate::endpoints::Endpoints;

/// The endpoints of this area.
pub(crate) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get("/_matrix/federation/v1/event/{event_id}", events::event)
        .get("/_matrix/federation/v1/timestamp_to_event/{room_id}", events::by_timestamp)
        .get("/_matrix/federation/v1/backfill/{room_id}", history::backfill)
        .post("/_matrix/federation/v1/get_missing_events/{room_id}", history::missing_events)
        .get("/_matrix/federation/v1/state/{room_id}", state::state)
        .get("/_matrix/federation/v1/state_ids/{room_id}", state::state_ids)
        .get("/_matrix/federation/v1/event_auth/{room_id}/{event_id}", state::event_auth)
}
