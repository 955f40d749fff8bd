//! The libraries of this workspace, asked the same questions as the oracles.

use freehold_event::{EventView, RoomVersion};
use freehold_event_auth::{Denial, NamedAuthEvents, PreparedState, check, check_auth_events};
use freehold_state_res::{PlainForks, ResolveBudget, resolve as resolve_forks};
use freehold_testkit::{Events, MemoryEvents, RoomEvent, StateMap};

/// The rules that look at the event and its `auth_events` list.
///
/// # Errors
///
/// The rule that rejects the event.
pub(crate) fn auth_events(
    event: &RoomEvent,
    events: &Events,
    version: &'static RoomVersion,
) -> Result<(), Denial> {
    let auth_events: Vec<EventView<'_, String>> =
        event.auth_events.iter().filter_map(|id| events.get(id)).map(RoomEvent::view).collect();
    let create = create_by_room_id(event, events, version);
    let named = NamedAuthEvents { auth_events: &auth_events, create };
    check_auth_events(&event.view(), &named, version)
}

/// The rules that look at a state.
///
/// # Errors
///
/// The rule that rejects the event.
pub(crate) fn auth(
    event: &RoomEvent,
    state: &StateMap,
    events: &Events,
    version: &'static RoomVersion,
) -> Result<(), Denial> {
    let views = state.values().filter_map(|id| events.get(id)).map(RoomEvent::view);
    check(&event.view(), &PreparedState::from_events(version, views), version)
}

/// The state that consists of an event's auth events, and of the create event.
pub(crate) fn auth_state(event: &RoomEvent, events: &Events, version: &'static RoomVersion) -> StateMap {
    let cited = event.auth_events.iter().filter_map(|id| events.get(id));
    let entries = cited.filter_map(|event| Some((event.state_map_key()?, event.event_id.clone())));
    let create = create_by_room_id(event, events, version);
    let create =
        create.map(|create| (("m.room.create".to_owned(), String::new()), create.event_id.to_owned()));
    entries.chain(create).collect()
}

/// The create event that the room id names, where the room version makes room ids so.
fn create_by_room_id<'a>(
    event: &RoomEvent,
    events: &'a Events,
    version: &'static RoomVersion,
) -> Option<EventView<'a, String>> {
    if !version.rules().authorization.room_create_event_id_as_room_id {
        return None;
    }
    events.get(&event.room_id.as_deref()?.replacen('!', "$", 1)).map(RoomEvent::view)
}

/// Resolves states.
///
/// # Errors
///
/// What went wrong, as text: with every event at hand and no bound, nothing should.
pub fn resolve(
    version: &'static RoomVersion,
    states: &[StateMap],
    events: &Events,
) -> Result<StateMap, String> {
    let forks = PlainForks::new(states);
    let source = MemoryEvents(events);
    let resolution = resolve_forks(version, &forks, &source, &ResolveBudget::UNLIMITED);
    let resolution = resolution.map_err(|error| error.to_string())?;
    let state = forks.state(&resolution).into_iter();
    let owned = |((event_type, state_key), id): ((&str, &str), &String)| {
        ((event_type.to_owned(), state_key.to_owned()), id.clone())
    };
    Ok(state.map(owned).collect())
}
