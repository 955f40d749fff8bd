//! One state out of the states of several forks.

use std::collections::BTreeMap;

use freehold_event::RoomVersion;
use freehold_state_map::{NodeId, StateMap};
use freehold_state_res::{ResolveBudget, SnapshotForks, resolve};

use crate::shelf::{AskedKeys, Shelf, Stop};

/// The most work that is done for one event, unless somebody sets another bound ([`Shelf::allow`]); a room that needs more is hostile
/// or damaged.
pub const BUDGET: ResolveBudget =
    ResolveBudget { events: 500_000, auth_edges: 5_000_000, sort_steps: 500_000, auth_checks: 500_000 };

/// The resolution of several states
/// (<https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution>).
pub(crate) fn resolved(
    version: &'static RoomVersion,
    states: &[StateMap],
    shelf: &Shelf,
) -> Result<StateMap, Stop> {
    // Most forks of a room with many have said nothing about the state.
    let states: BTreeMap<NodeId, &StateMap> = states.iter().map(|state| (state.root_id(), state)).collect();
    let maps: Vec<&StateMap> = states.into_values().collect();
    match maps.as_slice() {
        [] => return Ok(StateMap::new()),
        [only] => return Ok((*only).clone()),
        _ => {}
    }
    let keys = AskedKeys::new(shelf);
    let number = |event_type: &str, state_key: &str| keys.number(event_type, state_key);
    let nodes = shelf.nodes();
    let forks = SnapshotForks::new(&maps, &number, &nodes)?;
    let resolution = resolve(version, &forks, shelf, shelf.allowed());
    // Without the number of a key the resolution saw less than there is.
    keys.complete()?;
    let resolution = resolution?;
    let state = forks.state(&resolution, |event_type, state_key| {
        keys.number(event_type, state_key).unwrap_or(UNNUMBERED)
    })?;
    keys.complete()?;
    Ok(state)
}

/// Not met: every state event got a number for its key when it was kept.
const UNNUMBERED: u64 = u64::MAX;
