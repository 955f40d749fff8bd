//! Power events and the reverse topological power ordering.

use std::{cmp::Reverse, collections::BinaryHeap};

use freehold_event::{EventSource, Membership};
use freehold_event_auth::Power;

use crate::{
    budget::BudgetLine,
    error::Failure,
    graph::Graph,
    key::Kind,
    node_map::{Node, NodeMap},
};

/// Whether the event might remove someone's ability to do something in the room.
///
/// > A power event is a state event with type m.room.power_levels or m.room.join_rules, or a state
/// > event with type m.room.member where the membership is leave or ban and the sender does not
/// > match the state_key.
///
/// Power levels and join rules with another state key than `""` mean nothing to a room, and no
/// implementation on the network counts them as power events. A stranger could send one and split
/// off whoever did, so neither do we.
fn is_power_event<S: EventSource>(graph: &mut Graph<'_, S>, node: Node) -> bool {
    match graph.kind(node) {
        Kind::PowerLevels | Kind::JoinRules => true,
        Kind::Member => {
            !graph.is_of_sender(node) && matches!(graph.membership(node), Membership::Leave | Membership::Ban)
        }
        Kind::Create | Kind::Other | Kind::None => false,
    }
}

/// The events of the full conflicted set that step 1 is about, marked in `is_full_conflicted`'s
/// nodes.
///
/// > 1. Select the set X of all power events that appear in the full conflicted set. For each such
/// >    power event P, enlarge X by adding the events in the auth chain of P which also belong to
/// >    the full conflicted set.
///
/// "In the auth chain" is followed from one event of the full conflicted set to the next, as every
/// implementation on the network does. The text can also be read as the whole chain, through
/// events that no fork disagrees on; then the order of power events differs in rare rooms of
/// versions 2 to 11, and with it the state, from that of every other server. (In version 12 the
/// conflicted state subgraph contains what lies between, and both readings are one.)
pub(crate) fn enlarged_power_events<S: EventSource>(
    graph: &mut Graph<'_, S>,
    full_conflicted: &[Node],
    is_full_conflicted: &NodeMap<bool>,
) -> Result<Vec<Node>, Failure<S::Id>> {
    let mut chosen = NodeMap::<bool>::for_nodes(graph.len());
    let mut enlarged = Vec::new();
    for node in full_conflicted {
        graph.load(*node)?;
        if is_power_event(graph, *node) {
            chosen.set(*node, true);
            enlarged.push(*node);
        }
    }
    let mut next = 0;
    while let Some(node) = enlarged.get(next).copied() {
        next += 1;
        for position in graph.links(node)? {
            let auth_event = graph.link(position);
            if is_full_conflicted.get(auth_event) && !chosen.get(auth_event) {
                chosen.set(auth_event, true);
                enlarged.push(auth_event);
            }
        }
    }
    Ok(enlarged)
}

/// Sorts events into the [reverse topological power ordering], each with the power of its sender.
///
/// > The reverse topological power ordering can be found by sorting the events using Kahn's
/// > algorithm for topological sorting, and at each step selecting, among all the candidate
/// > vertices, the smallest vertex using the above comparison relation.
///
/// [reverse topological power ordering]: https://spec.matrix.org/v1.19/rooms/v2/#definitions
pub(crate) fn reverse_topological_power_ordering<S: EventSource>(
    graph: &mut Graph<'_, S>,
    events: &[(Node, Power)],
) -> Result<Vec<(Node, Power)>, Failure<S::Id>> {
    graph.spend(BudgetLine::SortSteps, events.len())?;
    let mut citations = Citations::new(graph, events)?;
    let mut candidates = BinaryHeap::new();
    for (place, (node, _)) in events.iter().enumerate() {
        if citations.left(*node) == 0 {
            candidates.push(Reverse(Candidate::new(graph, events, place)));
        }
    }
    let mut order = Vec::with_capacity(events.len());
    while let Some(Reverse(candidate)) = candidates.pop() {
        order.push((candidate.node, candidate.power.0));
        let mut at = citations.first_citing(candidate.node);
        while let Some((citing, next)) = citations.citing(at) {
            at = next;
            if citations.take_one(citing.node) == 0 {
                candidates.push(Reverse(Candidate::new(graph, events, citing.place)));
            }
        }
    }
    match events.iter().find(|(node, _)| citations.left(*node) > 0) {
        Some((node, _)) => Err(graph.cycle_at(*node)),
        None => Ok(order),
    }
}

/// An event that nothing left has to precede; the smallest comes next.
///
/// > x < y if
/// > 1. x's sender has greater power level than y's sender, when looking at their respective
/// >    auth_events; or
/// > 2. the senders have the same power level, but x's origin_server_ts is less than y's
/// >    origin_server_ts; or
/// > 3. the senders have the same power level and the events have the same origin_server_ts, but
/// >    x's event_id is less than y's event_id.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate<'a> {
    power: Reverse<Power>,
    origin_server_ts: i64,
    event_id: &'a str,
    node: Node,
}

impl<'a> Candidate<'a> {
    fn new<S: EventSource>(graph: &Graph<'a, S>, events: &[(Node, Power)], place: usize) -> Self {
        let (node, power) = events.get(place).copied().unwrap_or((Node::NONE, Power::Level(0)));
        let (origin_server_ts, event_id) =
            graph.loaded(node).map_or((0, ""), |event| (event.origin_server_ts, event.event_id));
        Self { power: Reverse(power), origin_server_ts, event_id, node }
    }
}

/// The links among the events to sort, turned around: who cites an event.
struct Citations {
    /// How many cited events are still to come, plus one for events to sort.
    counts: NodeMap<u32>,
    /// The first citation of an event in `list`, plus one.
    heads: NodeMap<u32>,
    /// Who cites, and the next citation of the same event, plus one.
    list: Vec<(Citing, u32)>,
}

/// An event that cites another.
#[derive(Clone, Copy)]
struct Citing {
    node: Node,
    /// Where it is in the list of events to sort.
    place: usize,
}

impl Citations {
    fn new<S: EventSource>(
        graph: &mut Graph<'_, S>,
        events: &[(Node, Power)],
    ) -> Result<Self, Failure<S::Id>> {
        let mut citations = Self {
            counts: NodeMap::for_nodes(graph.len()),
            heads: NodeMap::for_nodes(graph.len()),
            list: Vec::with_capacity(events.len()),
        };
        for (node, _) in events {
            citations.counts.set(*node, 1);
        }
        for (place, (node, _)) in events.iter().enumerate() {
            for position in graph.links(*node)? {
                citations.add(Citing { node: *node, place }, graph.link(position));
            }
        }
        Ok(citations)
    }

    /// An event that cites another twice has two citations to wait for, which come together.
    fn add(&mut self, citing: Citing, cited: Node) {
        if self.counts.get(cited) > 0 {
            self.list.push((citing, self.heads.get(cited)));
            self.heads.set(cited, u32::try_from(self.list.len()).unwrap_or(u32::MAX));
            self.counts.set(citing.node, self.counts.get(citing.node).saturating_add(1));
        }
    }

    fn left(&self, node: Node) -> u32 {
        self.counts.get(node).saturating_sub(1)
    }

    fn take_one(&mut self, node: Node) -> u32 {
        self.counts.set(node, self.left(node).max(1));
        self.left(node)
    }

    fn first_citing(&self, cited: Node) -> u32 {
        self.heads.get(cited)
    }

    fn citing(&self, at: u32) -> Option<(Citing, u32)> {
        self.list.get((at as usize).checked_sub(1)?).copied()
    }
}
