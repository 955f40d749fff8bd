//! What a resolution comes to, and why.

use freehold_event_auth::{Denial, Power};

use crate::{Algorithm, ResolveBudget};

/// The resolved state, as far as the forks did not agree on it already, and how it came about.
///
/// The resolved state is the unconflicted state map with [`Resolution::resolved`] put over it;
/// [`PlainForks::state`](crate::PlainForks::state) and
/// [`SnapshotForks::state`](crate::SnapshotForks::state) do that.
#[derive(Clone, Debug)]
pub struct Resolution<'a, Id> {
    /// The algorithm that was used.
    pub algorithm: Algorithm,
    /// Every key that is not in the unconflicted state map, in the order in which the forks gave them.
    pub resolved: Vec<Resolved<'a, Id>>,
    /// Every event of the full conflicted set (in version 1: every conflicting event), in the
    /// order in which they were tried. The order does not depend on the order or the numbering of the forks.
    pub steps: Vec<Step<'a, Id>>,
    /// What it cost.
    pub spent: ResolveBudget,
}

/// What one key comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved<'a, Id> {
    /// The event type.
    pub event_type: &'a str,
    /// The state key.
    pub state_key: &'a str,
    /// The event; `None` when none of those in conflict is allowed.
    pub event: Option<&'a Id>,
    /// The generation of the event, where it was known or found out.
    pub generation: Option<u64>,
}

/// One event of the full conflicted set and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<'a, Id> {
    /// The event.
    pub event: &'a Id,
    /// Its event id.
    pub event_id: &'a str,
    /// Why it is in the full conflicted set.
    pub part: Part,
    /// In which list it stood, and what put it there.
    pub order: Order,
    /// What became of it.
    pub outcome: Outcome,
}

/// The parts of the full conflicted set that an event belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// In the conflicted state set: some forks have it in their state.
    pub conflicted: bool,
    /// In the auth difference. Not looked into for events of the conflicted state set: they are
    /// in the full conflicted set either way.
    pub auth_difference: bool,
    /// In the conflicted state subgraph, and not in the conflicted state set.
    pub subgraph: bool,
}

/// The list that an event stood in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Step 1: the reverse topological power ordering.
    Power {
        /// The power of the sender by the event's own `auth_events`.
        sender: Power,
    },
    /// Step 3: the mainline ordering.
    Mainline {
        /// The mainline position; `None` is infinite: no power levels of the mainline are behind it.
        position: Option<u32>,
    },
    /// A pass of the algorithm of room version 1.
    Pass(Pass),
}

/// The passes of the algorithm of
/// [room version 1](https://spec.matrix.org/v1.19/rooms/v1/#state-resolution).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// Conflicts between `m.room.power_levels` events.
    PowerLevels,
    /// Conflicts between `m.room.join_rules` events.
    JoinRules,
    /// Conflicts between `m.room.member` events.
    Members,
    /// All other conflicts.
    Others,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Allowed: put into the state, where a later event may have replaced it.
    Applied,
    /// Not allowed by the authorisation rules in the state so far.
    Denied(Denial),
    /// Rejected on receipt, and not allowed by its own `auth_events` either.
    Rejected(Denial),
    /// Not a state event, so nothing that could be put into a state.
    NotState,
    /// Version 1: not allowed, but taken because no event of the key is.
    LastResort(Denial),
    /// Version 1: not tried, because an event of the same key settled the matter before.
    NotTried,
}

impl<'a, Id> Resolution<'a, Id> {
    /// The conflicted state set.
    pub fn conflicted(&self) -> impl Iterator<Item = &Step<'a, Id>> {
        self.steps.iter().filter(|step| step.part.conflicted)
    }

    /// The auth difference without the conflicted state set.
    pub fn auth_difference(&self) -> impl Iterator<Item = &Step<'a, Id>> {
        self.steps.iter().filter(|step| step.part.auth_difference)
    }

    /// The conflicted state subgraph without the conflicted state set.
    pub fn subgraph(&self) -> impl Iterator<Item = &Step<'a, Id>> {
        self.steps.iter().filter(|step| step.part.subgraph)
    }

    /// The events of step 1, in reverse topological power ordering.
    pub fn power_order(&self) -> impl Iterator<Item = &Step<'a, Id>> {
        self.steps.iter().filter(|step| matches!(step.order, Order::Power { .. }))
    }

    /// The events of step 3, in mainline ordering.
    pub fn mainline_order(&self) -> impl Iterator<Item = &Step<'a, Id>> {
        self.steps.iter().filter(|step| matches!(step.order, Order::Mainline { .. }))
    }

    /// The events that did not get into the state, each with the reason in its outcome.
    pub fn dropped(&self) -> impl Iterator<Item = &Step<'a, Id>> {
        self.steps.iter().filter(|step| !matches!(step.outcome, Outcome::Applied | Outcome::LastResort(_)))
    }
}
