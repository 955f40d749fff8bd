//! State resolution 2.0 and 2.1.

use freehold_event::{EventSource, EventView, RoomVersion};

use crate::{
    Algorithm, Order, Outcome, Part, Resolution, Resolved, Step,
    conflict::Conflict,
    difference::auth_difference,
    error::Failure,
    forks::Forks,
    graph::Graph,
    key::{Key, Kind},
    lookup::{Base, Lookup},
    mainline::{Mainline, Position},
    node_map::{Node, NodeMap},
    power_order::{enlarged_power_events, reverse_topological_power_ordering},
    standing::{Facts, check_in_state, power_of_sender, rejected_by_its_auth_events},
    subgraph::conflicted_state_subgraph,
};

/// Resolves by the algorithm of [room version 2](https://spec.matrix.org/v1.19/rooms/v2/#state-resolution)
/// or of [room version 12](https://spec.matrix.org/v1.19/rooms/v12/#state-resolution).
pub(crate) fn resolve<'a, S: EventSource, F: Forks<S::Id>>(
    algorithm: Algorithm,
    version: &'static RoomVersion,
    forks: &F,
    mut graph: Graph<'a, S>,
) -> Result<Resolution<'a, S::Id>, Failure<S::Id>> {
    let conflict = Conflict::read(&mut graph, forks)?;
    if conflict.events.is_empty() {
        return Ok(Resolution { algorithm, resolved: Vec::new(), steps: Vec::new(), spent: graph.spent() });
    }
    let full = FullConflictedSet::new(algorithm, &mut graph, &conflict, forks)?;
    let base = match algorithm {
        // 2. "[…] starting from an *empty* state map"
        Algorithm::V2_1 => Base::Cited,
        // 2. "[…] starting from the *unconflicted state map*"
        Algorithm::V1 | Algorithm::V2_0 => Base::UnconflictedThenCited,
    };
    let lookup = Lookup::new(graph, forks, &conflict, (base, version))?;
    let steps = Vec::with_capacity(full.events.len());
    let mut run = Run { lookup, facts: Facts::new(version), full, steps };
    run.resolve_power_events(version)?;
    run.resolve_remaining(version)?;
    let resolved = run.resolved(&conflict)?;
    Ok(Resolution { algorithm, resolved, steps: run.steps, spent: run.lookup.graph.spent() })
}

/// The texts of so many events are fetched from memory together before the events are checked.
const CHECKED_TOGETHER: usize = 32;

/// The parts of the full conflicted set, by node.
struct Parts {
    bits: NodeMap<u8>,
}

impl Parts {
    const CONFLICTED: u8 = 1;
    const AUTH_DIFFERENCE: u8 = 2;
    const SUBGRAPH: u8 = 4;

    fn add(&mut self, node: Node, part: u8) {
        self.bits.set(node, self.bits.get(node) | part);
    }

    fn get(&self, node: Node) -> u8 {
        self.bits.get(node)
    }
}

/// > The full conflicted set is the union of the conflicted state set, the conflicted state
/// > subgraph (2.1), and the auth difference.
struct FullConflictedSet {
    events: Vec<Node>,
    parts: Parts,
    /// The list of step 1 takes its events out.
    is_in: NodeMap<bool>,
}

impl FullConflictedSet {
    fn new<S: EventSource, F: Forks<S::Id>>(
        algorithm: Algorithm,
        graph: &mut Graph<'_, S>,
        conflict: &Conflict,
        forks: &F,
    ) -> Result<Self, Failure<S::Id>> {
        let events = conflict.events.len();
        let mut full = Self {
            events: Vec::with_capacity(events),
            parts: Parts { bits: NodeMap::for_nodes(events) },
            is_in: NodeMap::for_nodes(events),
        };
        full.add(&conflict.events, Parts::CONFLICTED);
        full.add(&auth_difference(graph, conflict, forks)?, Parts::AUTH_DIFFERENCE);
        if algorithm == Algorithm::V2_1 {
            full.add(&conflicted_state_subgraph(graph, conflict)?, Parts::SUBGRAPH);
        }
        Ok(full)
    }

    fn add(&mut self, nodes: &[Node], part: u8) {
        for node in nodes {
            if !self.is_in.get(*node) {
                self.is_in.set(*node, true);
                self.events.push(*node);
            }
            self.parts.add(*node, part);
        }
    }

    fn part(&self, node: Node) -> Part {
        let bits = self.parts.get(node);
        Part {
            conflicted: bits & Parts::CONFLICTED != 0,
            auth_difference: bits & Parts::AUTH_DIFFERENCE != 0,
            subgraph: bits & Parts::SUBGRAPH != 0,
        }
    }
}

struct Run<'r, 'a, S: EventSource, F> {
    lookup: Lookup<'r, 'a, S, F>,
    facts: Facts<'a>,
    full: FullConflictedSet,
    steps: Vec<Step<'a, S::Id>>,
}

impl<'a, S: EventSource, F: Forks<S::Id>> Run<'_, 'a, S, F> {
    /// > 1. Select the set X of all power events that appear in the full conflicted set. For each
    /// >    such power event P, enlarge X by adding the events in the auth chain of P which also
    /// >    belong to the full conflicted set. Sort X into a list using the reverse topological
    /// >    power ordering.
    /// > 2. Apply the iterative auth checks algorithm […] to the list of events from the previous
    /// >    step to get a partially resolved state.
    fn resolve_power_events(&mut self, version: &'static RoomVersion) -> Result<(), Failure<S::Id>> {
        let enlarged = enlarged_power_events(&mut self.lookup.graph, &self.full.events, &self.full.is_in)?;
        self.lookup.graph.complete()?;
        let mut with_power = Vec::with_capacity(enlarged.len());
        for node in enlarged {
            with_power.push((node, power_of_sender(&mut self.lookup, &mut self.facts, node)?));
        }
        let list = reverse_topological_power_ordering(&mut self.lookup.graph, &with_power)?;
        self.lookup.graph.complete()?;
        for (node, sender) in list {
            self.full.is_in.set(node, false);
            let event = self.lookup.graph.view(node);
            self.check(version, (node, event.as_ref()), Order::Power { sender })?;
        }
        self.lookup.graph.complete()
    }

    /// > 3. Take all remaining events that weren't picked in step 1 and order them by the mainline
    /// >    ordering based on the power level in the partially resolved state obtained in step 2.
    /// > 4. Apply the iterative auth checks algorithm on the partial resolved state and the list of
    /// >    events from the previous step.
    fn resolve_remaining(&mut self, version: &'static RoomVersion) -> Result<(), Failure<S::Id>> {
        let mut remaining = Vec::with_capacity(self.full.events.len());
        remaining.extend(self.full.events.iter().copied().filter(|node| self.full.is_in.get(*node)));
        let power_levels = self.lookup.in_state(Key::PowerLevels)?;
        let list = Mainline::new(power_levels).order(&mut self.lookup.graph, &remaining)?;
        self.lookup.graph.complete()?;
        let mut events = Vec::with_capacity(list.len().min(CHECKED_TOGETHER));
        for list in list.chunks(CHECKED_TOGETHER) {
            self.lookup.graph.views(list.iter().map(|(node, _)| *node), &mut events);
            for ((node, position), event) in list.iter().zip(&events) {
                let position = match position {
                    Position::At(position) => Some(*position),
                    Position::Infinite => None,
                };
                self.check(version, (*node, event.as_ref()), Order::Mainline { position })?;
            }
        }
        self.lookup.graph.complete()
    }

    /// One turn of the iterative auth checks.
    ///
    /// > […] constructs a new room state by iterating through the event list and applying the state
    /// > event to the room state if the state event is allowed by the authorisation rules. If the
    /// > state event is not allowed by the authorisation rules, then the event is ignored.
    fn check(
        &mut self,
        version: &'static RoomVersion,
        (node, event): (Node, Option<&EventView<'a, S::Id>>),
        order: Order,
    ) -> Result<(), Failure<S::Id>> {
        let Some(event) = event else { return Ok(()) };
        let outcome = if self.lookup.graph.kind(node) == Kind::None {
            Outcome::NotState
        } else if let Some(denial) = rejected_by_its_auth_events(&mut self.lookup, version, (node, event))? {
            Outcome::Rejected(denial)
        } else {
            match check_in_state(&mut self.lookup, &mut self.facts, (node, event))? {
                Ok(()) => Outcome::Applied,
                Err(denial) => Outcome::Denied(denial),
            }
        };
        if matches!(outcome, Outcome::Applied) {
            self.lookup.put(node);
        }
        let part = self.full.part(node);
        self.steps.push(Step { event: event.id, event_id: event.event_id, part, order, outcome });
        Ok(())
    }

    /// > 5. Update the result by replacing any event with the event with the same key from the
    /// >    unconflicted state map, if such an event exists, to get the final resolved state.
    ///
    /// So only keys without such an event are left to tell.
    fn resolved(&mut self, conflict: &Conflict) -> Result<Vec<Resolved<'a, S::Id>>, Failure<S::Id>> {
        let mut resolved = Vec::with_capacity(conflict.keys);
        for first in conflict.first_of_keys() {
            resolved.extend(self.lookup.resolved(first.node));
        }
        for node in &self.full.events {
            if !conflict.is_conflicted.get(*node) && self.lookup.stands_outside_forks(*node)? {
                resolved.extend(self.lookup.resolved(*node));
            }
        }
        Ok(resolved)
    }
}
