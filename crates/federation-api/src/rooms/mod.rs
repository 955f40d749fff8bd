//! Rooms: what servers that are in them may see of them.

mod error;
mod events;
mod hierarchy;
mod history;
mod invite;
mod lists;
mod membership;
mod onbind;
mod state;

use axum::http::Method;

use crate::endpoints::Endpoints;

/// The endpoints of this area.
pub(crate) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get("/_matrix/federation/v1/event/{event_id}", events::event)
        .get("/_matrix/federation/v1/timestamp_to_event/{room_id}", events::by_timestamp)
        .get("/_matrix/federation/v1/hierarchy/{room_id}", hierarchy::hierarchy)
        .get("/_matrix/federation/v1/backfill/{room_id}", history::backfill)
        .post("/_matrix/federation/v1/get_missing_events/{room_id}", history::missing_events)
        .get("/_matrix/federation/v1/state/{room_id}", state::state)
        .get("/_matrix/federation/v1/state_ids/{room_id}", state::state_ids)
        .get("/_matrix/federation/v1/event_auth/{room_id}/{event_id}", state::event_auth)
        .get("/_matrix/federation/v1/make_join/{room_id}/{user_id}", membership::make_join)
        .get("/_matrix/federation/v1/make_knock/{room_id}/{user_id}", membership::make_knock)
        .get("/_matrix/federation/v1/make_leave/{room_id}/{user_id}", membership::make_leave)
        .put("/_matrix/federation/v1/send_join/{room_id}/{event_id}", membership::send_join_v1)
        .put("/_matrix/federation/v2/send_join/{room_id}/{event_id}", membership::send_join)
        .put("/_matrix/federation/v1/send_knock/{room_id}/{event_id}", membership::send_knock)
        .put("/_matrix/federation/v1/send_leave/{room_id}/{event_id}", membership::send_leave_v1)
        .put("/_matrix/federation/v2/send_leave/{room_id}/{event_id}", membership::send_leave)
        .put("/_matrix/federation/v1/invite/{room_id}/{event_id}", invite::invite_v1)
        .put("/_matrix/federation/v2/invite/{room_id}/{event_id}", invite::invite)
        .put(
            "/_matrix/federation/v1/exchange_third_party_invite/{room_id}",
            membership::exchange_third_party_invite,
        )
        .open(Method::PUT, "/_matrix/federation/v1/3pid/onbind", onbind::on_bind)
        .open(Method::POST, "/_matrix/federation/v1/3pid/onbind", onbind::on_bind)
}
