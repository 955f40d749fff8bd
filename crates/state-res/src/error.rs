//! Why a resolution could not be finished.

use std::fmt::Debug;

use freehold_state_map::LoadError;

use crate::budget::{BudgetLine, Overdrawn};

/// What goes wrong, small enough to be returned by every look-up.
pub(crate) type Failure<Id> = Box<ResolveError<Id>>;

/// Why a resolution could not be finished.
///
/// None of these says anything about an event that breaks the authorisation rules: such an event
/// is dropped, the resolution goes on, and [`Resolution`](crate::Resolution) says why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError<Id: Debug> {
    /// The source does not have events that are needed. Fetch them and call again; each call names
    /// everything that can be known to be needed so far. When they cannot be had, the caller's
    /// state is incomplete and no result would be right.
    #[error("the source lacks {} event(s) that are needed, such as {:?}", events.len(), events.first())]
    MissingEvents {
        /// The events to fetch, in the order of keys and without repetition.
        events: Vec<Id>,
    },
    /// The source answered with another event than it was asked for (the source's fault).
    #[error("the source was asked for {asked:?} and answered with {answered:?}")]
    WrongEvent {
        /// The key asked for.
        asked: Id,
        /// The key of the answer.
        answered: Id,
    },
    /// The event is in its own auth chain (the fault of whoever let it in: event ids that are
    /// hashes make that impossible, those of room versions 1 and 2 do not).
    #[error("event {event:?} is in its own auth chain")]
    AuthCycle {
        /// The event.
        event: Id,
    },
    /// Generations contradict the graph: an event must have a greater one than each of its
    /// `auth_events` (the source's or the snapshot's fault).
    #[error(
        "event {event:?} has generation {generation}, but its auth event {auth_event:?} has {auth_generation}"
    )]
    WrongGeneration {
        /// The event.
        event: Id,
        /// Its generation, as given.
        generation: u64,
        /// One of its `auth_events`.
        auth_event: Id,
        /// The generation of that, as given.
        auth_generation: u64,
    },
    /// The budget is used up (the caller's bound; the room is too large or hostile).
    #[error("more than {allowed} {}", line.name())]
    OverBudget {
        /// The line of the budget.
        line: BudgetLine,
        /// What it allowed.
        allowed: u64,
    },
    /// A snapshot could not be read. With [`LoadError::Missing`]: fetch the node and call again.
    #[error("a snapshot could not be read")]
    Snapshot(#[from] LoadError),
}

impl<Id: Debug> From<Overdrawn> for Failure<Id> {
    fn from(over: Overdrawn) -> Self {
        Self::new(ResolveError::OverBudget { line: over.line, allowed: over.allowed })
    }
}

impl<Id: Debug> From<LoadError> for Failure<Id> {
    fn from(error: LoadError) -> Self {
        Self::new(error.into())
    }
}
