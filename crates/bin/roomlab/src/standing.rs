//! What became of the state events of a room.

use std::collections::{BTreeMap, BTreeSet};

use crate::failure::Failure;
use crate::replay::Replay;
use crate::resolver;
use crate::states;

/// What became of a state event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// It is in the state at the end of the room.
    pub(crate) wins: bool,
    /// At some merge the forks disagreed about it.
    pub(crate) conflicted: bool,
    /// At some merge it lost.
    pub(crate) lost: bool,
}

/// What became of the state events, over all merges and the end of the room.
pub(crate) fn standings(replay: &Replay<'_>) -> Result<BTreeMap<u64, Standing>, Failure> {
    let mut standings: BTreeMap<u64, Standing> = BTreeMap::new();
    let end = replay.extremities();
    let merges = replay.merges().map(|event| event.prev_events.as_slice());
    for forks in merges.chain([end.as_slice()]) {
        let Ok(states) = replay.states_after(forks) else { continue };
        let resolved = resolver::resolve(replay, &states).map_err(|source| Failure::Resolve {
            event_id: forks.first().map_or("?", |fork| replay.room.name(*fork)).to_owned(),
            source,
        })?;
        let kept: BTreeSet<u64> =
            resolved.resolution.resolved.iter().filter_map(|key| key.event.copied()).collect();
        for step in resolved.resolution.conflicted() {
            let standing = standings.entry(*step.event).or_default();
            standing.conflicted = true;
            standing.lost |= !kept.contains(step.event);
        }
    }
    if let Ok(state) = replay.state_after(&end)? {
        for (_, entry) in states::entries(&state) {
            standings.entry(entry.event).or_default().wins = true;
        }
    }
    Ok(standings)
}
