//! The shape of a room's event graph.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::room::Parsed;

/// The events with every event behind those it refers to, and those that cannot be put so because
/// they are in a cycle or behind one.
///
/// Among events that could come next, the one with the smallest depth, then timestamp, then line.
pub(crate) fn parents_first(events: Vec<Parsed>) -> (Vec<Parsed>, Vec<Parsed>) {
    let by_id: BTreeMap<&str, usize> =
        events.iter().enumerate().map(|(index, event)| (event.pdu.event_id().as_str(), index)).collect();
    let mut waiting_for = vec![0usize; events.len()];
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
    for (index, event) in events.iter().enumerate() {
        let references = event.pdu.prev_events().iter().chain(event.pdu.auth_events());
        for parent in references.filter_map(|id| by_id.get(id.as_str())) {
            if let (Some(children), Some(waiting)) = (children.get_mut(*parent), waiting_for.get_mut(index)) {
                children.push(index);
                *waiting += 1;
            }
        }
    }
    let rank = |index: usize| {
        let event = events.get(index)?;
        Some(Reverse((event.pdu.depth(), event.pdu.origin_server_ts(), event.line, index)))
    };
    let mut ready: BinaryHeap<_> =
        (0..events.len()).filter(|index| waiting_for.get(*index) == Some(&0)).filter_map(rank).collect();
    let mut order = Vec::with_capacity(events.len());
    while let Some(Reverse((.., index))) = ready.pop() {
        order.push(index);
        for child in children.get(index).into_iter().flatten() {
            if let Some(waiting) = waiting_for.get_mut(*child) {
                *waiting -= 1;
                if *waiting == 0 {
                    ready.extend(rank(*child));
                }
            }
        }
    }
    take_in_order(events, &order)
}

fn take_in_order(events: Vec<Parsed>, order: &[usize]) -> (Vec<Parsed>, Vec<Parsed>) {
    let mut slots: Vec<Option<Parsed>> = events.into_iter().map(Some).collect();
    let ordered = order.iter().filter_map(|index| slots.get_mut(*index)?.take()).collect();
    (ordered, slots.into_iter().flatten().collect())
}
