//! Our resolver, over the states of a replayed room.

use freehold_event::RoomVersion;
use freehold_state_map::{NoStore, StateMap};
use freehold_state_res::{Algorithm, Resolution, ResolveBudget, ResolveError, SnapshotForks, resolve_by};

use crate::cli;
use crate::replay::Replay;

/// What a resolution came to, and why.
pub(crate) struct Resolved<'r> {
    pub(crate) state: StateMap,
    pub(crate) resolution: Resolution<'r, u64>,
}

/// Resolves states of a room.
pub(crate) fn resolve<'r>(
    replay: &'r Replay<'_>,
    states: &[&StateMap],
) -> Result<Resolved<'r>, Box<ResolveError<u64>>> {
    let number = |event_type: &str, state_key: &str| replay.keys.number(event_type, state_key);
    let forks = SnapshotForks::new(states, &number, &NoStore).map_err(ResolveError::from)?;
    // Whoever runs this has the time; a hostile room is what they are looking at.
    let budget = ResolveBudget::UNLIMITED;
    let resolution = resolve_by(replay.algorithm, replay.room.version, &forks, replay, &budget)?;
    // Every key of every event of the room has a number.
    let state = forks.state(&resolution, |_, _| u64::MAX).map_err(ResolveError::from)?;
    Ok(Resolved { state, resolution })
}

/// The algorithm that was asked for, or that of the room version.
pub(crate) fn algorithm(asked: Option<cli::Algorithm>, version: &RoomVersion) -> Algorithm {
    match asked {
        None => Algorithm::of(version),
        Some(cli::Algorithm::V1) => Algorithm::V1,
        Some(cli::Algorithm::V2) => Algorithm::V2_0,
        Some(cli::Algorithm::V2_1) => Algorithm::V2_1,
    }
}

/// The name of an algorithm, as on the command line.
pub(crate) const fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::V1 => "v1",
        Algorithm::V2_0 => "v2",
        Algorithm::V2_1 => "v2.1",
    }
}
