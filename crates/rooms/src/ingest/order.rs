//! Events in an order in which each comes after those that it names.

use std::collections::{BTreeMap, BTreeSet};

use freehold_event::Pdu;
use freehold_signing::SignedPdu;
use ruma_common::{EventId, OwnedEventId};

/// Orders events so that each comes after those of the list that it names; among equals, in the order of the list.
/// Whatever names itself in the end (possible where authors choose ids) comes last.
pub(crate) fn in_order(
    events: Vec<(usize, SignedPdu)>,
    names: fn(&Pdu) -> &[OwnedEventId],
) -> Vec<(usize, SignedPdu)> {
    let graph: Vec<(&EventId, &[OwnedEventId])> =
        events.iter().map(|(_, event)| (event.pdu().event_id(), names(event.pdu()))).collect();
    let order = order_of(&graph);
    let mut events: Vec<Option<(usize, SignedPdu)>> = events.into_iter().map(Some).collect();
    order.into_iter().filter_map(|place| events.get_mut(place)?.take()).collect()
}

fn order_of(graph: &[(&EventId, &[OwnedEventId])]) -> Vec<usize> {
    let places: BTreeMap<&EventId, usize> =
        graph.iter().zip(0..).map(|((id, _), place)| (*id, place)).collect();
    let mut waits: BTreeMap<usize, usize> = BTreeMap::new();
    let mut followers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, (_, named)) in graph.iter().enumerate() {
        let named: BTreeSet<usize> =
            named.iter().filter_map(|id| places.get::<EventId>(id)).copied().collect();
        waits.insert(place, named.len());
        for other in named {
            followers.entry(other).or_default().push(place);
        }
    }
    let mut ready: BTreeSet<usize> =
        waits.iter().filter(|(_, count)| **count == 0).map(|(place, _)| *place).collect();
    let mut order = Vec::with_capacity(graph.len());
    while let Some(place) = ready.pop_first() {
        order.push(place);
        waits.remove(&place);
        for follower in followers.remove(&place).unwrap_or_default() {
            let Some(count) = waits.get_mut(&follower) else { continue };
            *count -= 1;
            if *count == 0 {
                ready.insert(follower);
            }
        }
    }
    order.extend(waits.into_keys());
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_comes_after_those_it_names_and_cycles_come_last() {
        let id = |name: &str| EventId::parse(format!("${name}:one.example")).unwrap();
        let ids: Vec<OwnedEventId> = ["a", "b", "c", "d", "e"].into_iter().map(id).collect();
        let named = [
            vec![id("b")],
            vec![id("c"), id("elsewhere"), id("c")],
            vec![],
            vec![id("e")],
            vec![id("d"), id("c")],
        ];
        let graph: Vec<(&EventId, &[OwnedEventId])> =
            ids.iter().zip(&named).map(|(id, named)| (&**id, named.as_slice())).collect();
        assert_eq!(order_of(&graph), [2, 1, 0, 3, 4]);
    }
}
