//! The auth difference.

use std::{borrow::Borrow, collections::BinaryHeap, ops::Range};

use freehold_event::EventSource;

use crate::{
    conflict::Conflict,
    error::Failure,
    forks::Forks,
    graph::Graph,
    node_map::{EXPECTED_MAX, ForkSets, Node, NodeMap},
};

/// The events of the [auth difference] that are not in the conflicted state set themselves.
///
/// > If Ci is the full auth chain of Si, then the auth difference is ∪ Ci − ∩ Ci.
///
/// The events of a state count into its full auth chain, as in every implementation on the network
/// (Synapse's `get_auth_chain_difference` starts from them). Read to the letter, the text leaves
/// them out; then an unconflicted event that the conflicted events of only some forks cite would be
/// replayed, and the outcome in rooms of version 12 would often be another than everybody else's.
///
/// No full auth chain is ever computed. What the forks have in common is in every chain, so only
/// what conflicted events reach can be in the difference: the walk starts from those, goes down
/// by generation with one bit per fork, and ends where everything left is reached by all forks, which
/// is at the latest at the unconflicted state. What was reached by some forks only is a candidate; it is in every chain after all when an
/// unconflicted state event reaches it, so those are tried, highest generation first, until every
/// candidate is settled or no higher event is left.
///
/// Work: the links between the conflicted events and where their chains meet, and then one visit
/// to each unconflicted event (and what is below it) whose generation is greater than that of the
/// lowest candidate left. In the worst case, a room whose state is mostly newer than an old event
/// that only one fork cites, that is the room once; never the chains of every fork.
///
/// [auth difference]: https://spec.matrix.org/v1.19/rooms/v2/#definitions
pub(crate) fn auth_difference<S: EventSource, F: Forks<S::Id>>(
    graph: &mut Graph<'_, S>,
    conflict: &Conflict,
    forks: &F,
) -> Result<Vec<Node>, Failure<S::Id>> {
    if all_meet_at_once(graph, conflict, forks.count())? {
        return Ok(Vec::new());
    }
    let mut descent = Descent::new(forks.count(), conflict);
    descent.start(graph, &conflict.events)?;
    let mut candidates = descent.run(graph, forks)?;
    graph.complete()?;
    candidates.retain(|node| !conflict.is_conflicted.get(*node));
    let mut settling = Settling::new(graph, descent.sets, candidates)?;
    settling.run(graph, forks)?;
    graph.complete()?;
    Ok(settling.unsettled())
}

/// Whether all forks' conflicted events cite the same events, as far as these are not in conflict
/// themselves.
///
/// Then everything below is in every chain, and no event is in some only: mostly the conflict is
/// between events of people who saw the same room. It is found out without going further down.
fn all_meet_at_once<S: EventSource>(
    graph: &mut Graph<'_, S>,
    conflict: &Conflict,
    forks: usize,
) -> Result<bool, Failure<S::Id>> {
    let mut meeting = Meeting {
        sets: leading(forks, conflict),
        met: Vec::with_capacity(conflict.events.len().min(EXPECTED_MAX)),
    };
    let mut events = conflict.events.iter().copied();
    let Some(mut first) = events.next() else { return Ok(true) };
    let mut links = graph.links(first)?;
    for node in events {
        let others = graph.links(node)?;
        if others == links {
            // Mostly the forks have events on a key that cite the same.
            meeting.sets.join_leading(first, node);
        } else {
            meeting.add(graph, conflict, (first, links));
            (first, links) = (node, others);
        }
    }
    meeting.add(graph, conflict, (first, links));
    graph.complete()?;
    Ok(meeting.met.into_iter().all(|cited| meeting.sets.is_reached_by_all(cited)))
}

/// Which forks cite which events.
struct Meeting {
    sets: ForkSets,
    met: Vec<Node>,
}

impl Meeting {
    /// The forks that lead through an event cite what it cites.
    fn add<S: EventSource>(
        &mut self,
        graph: &Graph<'_, S>,
        conflict: &Conflict,
        (node, links): (Node, Range<usize>),
    ) {
        for position in links {
            let cited = graph.link(position);
            if self.sets.is_reached_by_all(cited) || conflict.is_conflicted.get(cited) {
                continue;
            }
            self.sets.pass_on(node, cited);
            self.met.push(cited);
        }
    }
}

/// Which forks have which conflicted event in their state.
fn leading(forks: usize, conflict: &Conflict) -> ForkSets {
    let mut sets = ForkSets::new(forks, conflict.events.len());
    for entry in &conflict.entries {
        sets.add_leading(entry.node, entry.fork);
    }
    sets
}

/// The walk down from the conflicted events.
struct Descent {
    sets: ForkSets,
    queued: NodeMap<bool>,
    /// The conflicted events, the highest last.
    conflicted: Vec<(u64, Node)>,
    /// The other events that were met. Mostly the walk ends before it comes to them, so that
    /// few are ever taken out of the heap.
    met: BinaryHeap<(u64, Node)>,
    /// How many queued events lead down for some forks and not for all.
    partial: usize,
}

impl Descent {
    fn new(forks: usize, conflict: &Conflict) -> Self {
        let conflicted = conflict.events.len();
        Self {
            sets: leading(forks, conflict),
            queued: NodeMap::for_nodes(conflicted),
            conflicted: Vec::with_capacity(conflicted),
            met: BinaryHeap::with_capacity(conflicted.min(EXPECTED_MAX)),
            partial: 0,
        }
    }

    /// Queues the conflicted events.
    fn start<S: EventSource>(
        &mut self,
        graph: &mut Graph<'_, S>,
        events: &[Node],
    ) -> Result<(), Failure<S::Id>> {
        for node in events {
            self.conflicted.push((graph.generation(*node)?, *node));
            self.queued.set(*node, true);
            self.partial += usize::from(!self.sets.is_led_through_by_all(*node));
        }
        self.conflicted.sort_unstable();
        Ok(())
    }

    /// Goes down until all that is left is common; gives what only some forks reach.
    ///
    /// INVARIANT: an event is taken after everything that cites it, because its generation
    /// is smaller. So its set of forks is final then.
    fn run<S: EventSource, F: Forks<S::Id>>(
        &mut self,
        graph: &mut Graph<'_, S>,
        forks: &F,
    ) -> Result<Vec<Node>, Failure<S::Id>> {
        let mut candidates = Vec::new();
        while self.partial > 0
            && let Some((generation, node)) = self.next()
        {
            self.partial -= usize::from(!self.sets.is_led_through_by_all(node));
            if self.sets.is_reached(node) && !self.sets.is_reached_by_all(node) {
                if is_unconflicted(graph, forks, node)? {
                    self.sets.add_all_forks(node);
                } else {
                    candidates.push(node);
                }
            }
            for position in graph.links(node)? {
                let auth_event = graph.link(position);
                // Nothing is left to tell an event that all forks reach.
                if self.sets.is_reached_by_all(auth_event) {
                    continue;
                }
                let below = graph.generation_below((generation, node), auth_event)?;
                let is_common = self.sets.pass_on(node, auth_event);
                self.partial -= usize::from(is_common && self.queued.get(auth_event));
                self.queue(below, auth_event);
            }
        }
        Ok(candidates)
    }

    /// Takes the highest event out.
    fn next(&mut self) -> Option<(u64, Node)> {
        match (self.conflicted.last(), self.met.peek()) {
            (Some(conflicted), Some(met)) if met > conflicted => self.met.pop(),
            (None, _) => self.met.pop(),
            (Some(_), _) => self.conflicted.pop(),
        }
    }

    fn queue(&mut self, generation: u64, node: Node) {
        if !self.queued.get(node) {
            self.met.push((generation, node));
            self.queued.set(node, true);
            self.partial += usize::from(!self.sets.is_led_through_by_all(node));
        }
    }
}

/// Whether all forks have the event in their state.
fn is_unconflicted<S: EventSource, F: Forks<S::Id>>(
    graph: &mut Graph<'_, S>,
    forks: &F,
    node: Node,
) -> Result<bool, Failure<S::Id>> {
    graph.load(node)?;
    let Some(key) = graph.key(node) else { return Ok(false) };
    let (event_type, state_key) = key.names();
    let agreed = forks.unconflicted(event_type, state_key)?;
    Ok(agreed.is_some_and(|agreed| Some(agreed.borrow()) == graph.id(node)))
}

/// The search for unconflicted state events that have candidates in their auth chains.
struct Settling {
    /// All forks reach an event once it is known to be below an unconflicted one.
    sets: ForkSets,
    /// With their generations; the lowest last.
    candidates: Vec<(u64, Node)>,
    path: Vec<Node>,
}

impl Settling {
    fn new<S: EventSource>(
        graph: &mut Graph<'_, S>,
        sets: ForkSets,
        candidates: Vec<Node>,
    ) -> Result<Self, Failure<S::Id>> {
        let mut placed = Vec::with_capacity(candidates.len());
        for node in candidates {
            placed.push((graph.generation(node)?, node));
        }
        placed.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { sets, candidates: placed, path: Vec::new() })
    }

    /// The generation of the lowest candidate that is not settled: nothing at or below it can have
    /// a candidate in its auth chain.
    fn floor(&mut self) -> Option<u64> {
        while let Some((generation, node)) = self.candidates.last() {
            if !self.sets.is_reached_by_all(*node) {
                return Some(*generation);
            }
            self.candidates.pop();
        }
        None
    }

    fn unsettled(self) -> Vec<Node> {
        let sets = self.sets;
        let candidates = self.candidates.into_iter().map(|(_, node)| node);
        candidates.filter(|node| !sets.is_reached_by_all(*node)).collect()
    }

    fn run<S: EventSource, F: Forks<S::Id>>(
        &mut self,
        graph: &mut Graph<'_, S>,
        forks: &F,
    ) -> Result<(), Failure<S::Id>> {
        let Some(mut floor) = self.floor() else { return Ok(()) };
        for entry in forks.unconflicted_above(floor) {
            let entry = entry?;
            let id = entry.event.borrow();
            let generation = entry.generation.or_else(|| graph.source_generation(id));
            if generation.is_some_and(|generation| generation <= floor) {
                continue;
            }
            let node = graph.enter(id)?;
            if !self.sets.is_reached_by_all(node) {
                self.sets.add_all_forks(node);
                self.path.push(node);
                self.settle_below(graph, floor)?;
            }
            match self.floor() {
                Some(higher) => floor = higher,
                None => break,
            }
        }
        Ok(())
    }

    /// Marks everything below the events on the path as common to all forks.
    fn settle_below<S: EventSource>(
        &mut self,
        graph: &mut Graph<'_, S>,
        floor: u64,
    ) -> Result<(), Failure<S::Id>> {
        while let Some(node) = self.path.pop() {
            for position in graph.links(node)? {
                let auth_event = graph.link(position);
                if self.sets.is_reached_by_all(auth_event) {
                    continue;
                }
                self.sets.add_all_forks(auth_event);
                if graph.known_generation(auth_event).is_none_or(|generation| generation > floor) {
                    self.path.push(auth_event);
                }
            }
        }
        Ok(())
    }
}
