//! States and verdicts computed anew from the events: what a check compares with what is stored.

use freehold_event::{EventView, RoomVersion};
use freehold_event_auth::{NamedAuthEvents, PreparedState, Refusal, recheck};
use freehold_state_map::{NodeId, StateMap};

use crate::event::{Event, Standing};
use crate::resolve::resolved;
use crate::room::{Facts, state_after};
use crate::shelf::{Shelf, Stop};

/// The resolution of the states after some events: the room state before an event that has these as `prev_events`, and the
/// current state of a room that has these as forward extremities
/// (<https://spec.matrix.org/v1.19/server-server-api/#definitions>). `None` when one of them is an outlier, after which there is
/// no state to speak of.
///
/// # Errors
/// [`Stop`]; with [`Stop::Needs`] it is to be called again.
pub fn state_after_all(
    version: &'static RoomVersion,
    numbers: &[u64],
    shelf: &Shelf,
) -> Result<Option<StateMap>, Stop> {
    let mut states = Vec::with_capacity(numbers.len());
    for event in shelf.events(numbers)? {
        match event.state_before {
            Some(root) if event.standing != Standing::Outlier => {
                states.push(state_after(event, &shelf.open(root)?, shelf)?);
            }
            _ => return Ok(None),
        }
    }
    resolved(version, &states, shelf).map(Some)
}

/// Checks 4 and 5 once more of an event that is kept, in a room whose create event is `create`: against its auth events, and
/// against a state, mostly the one before it. Without a state it is an outlier, of which check 4 is all there is.
///
/// # Errors
/// [`Stop`]; with [`Stop::Needs`] it is to be called again. The inner error is the verdict.
pub fn rechecked(
    event: &Event,
    create: u64,
    state: Option<&StateMap>,
    shelf: &Shelf,
) -> Result<Result<(), Refusal>, Stop> {
    let version = event.pdu.version();
    let auth_events = shelf.events(&event.auth_events)?;
    let views: Vec<EventView<'_, u64>> = auth_events.iter().map(|event| event.view()).collect();
    let by_room_id = version.rules().authorization.room_create_event_id_as_room_id;
    let implied = match by_room_id && event.number != create {
        true => Some(shelf.event(create)?.view()),
        false => None,
    };
    let named = NamedAuthEvents { auth_events: &views, create: implied };
    let facts = match state {
        Some(state) => Facts::read(version, state, shelf)?.with_members(&event.pdu.view(), state, shelf)?,
        None => PreparedState::from_events(version, views.iter().copied().chain(implied)),
    };
    Ok(recheck(&event.pdu, &named, &facts))
}

/// The nodes of a state that another one, which the store has, does not have.
///
/// # Errors
/// [`Stop`]; with [`Stop::Needs`] it is to be called again.
pub fn nodes_beside(
    state: &StateMap,
    base: &StateMap,
    shelf: &Shelf,
) -> Result<Vec<(NodeId, Vec<u8>)>, Stop> {
    let mut nodes = shelf.nodes();
    state.save_changes(base, &mut nodes)?;
    Ok(nodes.into_made())
}
