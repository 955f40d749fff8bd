//! The conflicted state subgraph of state resolution v2.1.

use freehold_event::EventSource;

use crate::{
    conflict::Conflict,
    error::Failure,
    graph::Graph,
    node_map::{Node, NodeMap},
};

/// The events of the [conflicted state subgraph] that are not in the conflicted state set
/// themselves.
///
/// > Starting from an event in the conflicted state set and following auth_events edges may lead
/// > to another event in the conflicted state set. The union of all such paths between any pair of
/// > events in the conflicted state set (including endpoints) forms a subgraph of the original
/// > auth_event graph, called the conflicted state subgraph.
///
/// Walks down from the conflicted events no further than the lowest of them, because nothing below
/// can lead to another one; then up again, from what was reached to what leads there.
///
/// [conflicted state subgraph]: https://spec.matrix.org/v1.19/rooms/v12/#definitions
pub(crate) fn conflicted_state_subgraph<S: EventSource>(
    graph: &mut Graph<'_, S>,
    conflict: &Conflict,
) -> Result<Vec<Node>, Failure<S::Id>> {
    let mut below = events_between(graph, conflict)?;
    graph.complete()?;
    // Lowest first, so that an event comes after all that it cites.
    below.sort_unstable();
    let mut leads_to_conflict = NodeMap::<bool>::new();
    let mut subgraph = Vec::new();
    for (_, node) in below {
        for position in graph.links(node)? {
            let auth_event = graph.link(position);
            if conflict.is_conflicted.get(auth_event) || leads_to_conflict.get(auth_event) {
                leads_to_conflict.set(node, true);
                break;
            }
        }
        if leads_to_conflict.get(node) && !conflict.is_conflicted.get(node) {
            subgraph.push(node);
        }
    }
    Ok(subgraph)
}

/// The events in the auth chains of conflicted events, themselves included, that are above the
/// lowest conflicted event, each with its generation.
fn events_between<S: EventSource>(
    graph: &mut Graph<'_, S>,
    conflict: &Conflict,
) -> Result<Vec<(u64, Node)>, Failure<S::Id>> {
    let mut met = NodeMap::<bool>::new();
    let mut path = Vec::new();
    let mut floor = u64::MAX;
    for node in &conflict.events {
        let generation = graph.generation(*node)?;
        floor = floor.min(generation);
        met.set(*node, true);
        path.push((generation, *node));
    }
    let mut between = Vec::new();
    while let Some((generation, node)) = path.pop() {
        between.push((generation, node));
        for position in graph.links(node)? {
            let auth_event = graph.link(position);
            if met.get(auth_event) {
                continue;
            }
            met.set(auth_event, true);
            let generation = graph.generation_below((generation, node), auth_event)?;
            if generation > floor {
                path.push((generation, auth_event));
            }
        }
    }
    Ok(between)
}
