//! Rooms: making, joining, reading and changing them.

mod aliases;
mod create;
mod directory;
mod error;
mod hierarchy;
mod membership;
mod messages;
mod relations;
mod send;
mod settings;
mod state;
mod threads;
mod timestamp;
mod view;
mod whole;

pub(crate) use whole::once_whole;

use crate::endpoints::Endpoints;

/// Paths for an empty state key, which clients leave out.
const EMPTY_STATE_KEY: &[&str] = &[
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}/",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/",
];

/// The endpoints of this area.
pub(crate) fn routes() -> Endpoints {
    Endpoints::default()
        .route(create::create_room)
        .route(create::upgrade_room)
        .merge(memberships())
        .route(send::send_message)
        .route_also(send::send_state, EMPTY_STATE_KEY)
        .route(send::redact)
        .merge(reading())
        .merge(finding())
}

fn memberships() -> Endpoints {
    Endpoints::default()
        .route(membership::join)
        .route(membership::join_by_id)
        .route(membership::knock)
        .route(membership::invite)
        .route(membership::leave)
        .route(membership::forget)
        .route(membership::kick)
        .route(membership::ban)
        .route(membership::unban)
}

fn reading() -> Endpoints {
    Endpoints::default()
        .route(state::state)
        .route_also(state::state_event, EMPTY_STATE_KEY)
        .route(state::event)
        .route(state::members)
        .route(state::joined_members)
        .route(state::joined_rooms)
        .route(messages::messages)
        .route(messages::context)
        .route(relations::relations)
        .route(relations::relations_of_type)
        .route(relations::relations_of_both_types)
        .route(threads::threads)
        .route(timestamp::event_by_timestamp)
}

fn finding() -> Endpoints {
    Endpoints::default()
        .route(aliases::resolve)
        .route(aliases::create)
        .route(aliases::delete)
        .route(aliases::of_room)
        .route(directory::public_rooms)
        .route(directory::public_rooms_filtered)
        .route(directory::visibility)
        .route(directory::set_visibility)
        .route(hierarchy::hierarchy)
}
