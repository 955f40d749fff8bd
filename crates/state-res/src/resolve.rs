//! The way in.

use freehold_event::{EventSource, RoomVersion};

use crate::{Forks, Resolution, ResolveBudget, ResolveError, graph::Graph, v1, v2};

/// The algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// That of [room version 1](https://spec.matrix.org/v1.19/rooms/v1/#state-resolution).
    V1,
    /// That of [room versions 2 to 11](https://spec.matrix.org/v1.19/rooms/v2/#state-resolution).
    V2_0,
    /// That of [room version 12](https://spec.matrix.org/v1.19/rooms/v12/#state-resolution).
    V2_1,
}

impl Algorithm {
    /// The algorithm of a room version.
    pub fn of(version: &RoomVersion) -> Self {
        match version.rules().state_res.v2_rules() {
            None => Self::V1,
            // The two changes of 2.1 are never made one without the other.
            Some(rules) if rules.consider_conflicted_state_subgraph => Self::V2_1,
            Some(_) => Self::V2_0,
        }
    }
}

/// Resolves the states of a room's forks by the algorithm of its version.
///
/// The result does not depend on the order of the forks, on repeated ones, nor on how events and
/// keys are numbered. One fork resolves to itself, no fork to the empty state.
///
/// An event that the authorisation rules do not allow is dropped and never makes the whole fail.
/// In room version 12, where no event cites the create event, one of the forks must have it, as
/// every state of such a room does.
///
/// # Errors
///
/// [`ResolveError`]: something about the source, the snapshots or the budget. With
/// [`ResolveError::MissingEvents`] it is in the caller's hands to fetch them and call again.
pub fn resolve<'a, S: EventSource, F: Forks<S::Id>>(
    version: &'static RoomVersion,
    forks: &F,
    source: &'a S,
    budget: &ResolveBudget,
) -> Result<Resolution<'a, S::Id>, ResolveError<S::Id>> {
    resolve_by(Algorithm::of(version), version, forks, source, budget)
}

/// [`resolve`] by another algorithm than that of the room version, to see what it would make of a
/// room. The authorisation rules are those of the room version.
///
/// # Errors
///
/// As [`resolve`].
pub fn resolve_by<'a, S: EventSource, F: Forks<S::Id>>(
    algorithm: Algorithm,
    version: &'static RoomVersion,
    forks: &F,
    source: &'a S,
    budget: &ResolveBudget,
) -> Result<Resolution<'a, S::Id>, ResolveError<S::Id>> {
    let graph = Graph::new(source, budget);
    let resolution = match algorithm {
        Algorithm::V1 => v1::resolve(version, forks, graph),
        Algorithm::V2_0 | Algorithm::V2_1 => v2::resolve(algorithm, version, forks, graph),
    };
    resolution.map_err(|failure| *failure)
}
