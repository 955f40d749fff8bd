//! States computed anew from the events before them: what a check compares with what is stored.

use freehold_event::RoomVersion;
use freehold_state_map::StateMap;

use crate::event::Standing;
use crate::resolve::resolved;
use crate::room::state_after;
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
