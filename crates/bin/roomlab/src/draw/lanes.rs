//! Which lane and which layer each event stands in.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::draw::Node;

/// The places of the events of a picture.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// By event.
    pub(super) lane: Vec<usize>,
    /// By event.
    pub(super) layer: Vec<usize>,
    /// By event: the row of the layer, for events that are stacked; their lines come and go on the
    /// left.
    pub(super) row: Vec<Option<usize>>,
    /// By event: what is coloured alike.
    pub(super) strand: Vec<usize>,
    /// By event: whether its strand begins with it.
    pub(super) begins: Vec<bool>,
    pub(super) lanes: usize,
}

/// In how many lanes the stacked events of a layer stand beside each other, unless they are many.
const BESIDE_MAX: usize = 4;

/// How many lanes there are for strands of any length, so that the picture can be overlooked.
const LANES_MAX: usize = 5;

/// The longest strand that is stacked when those lanes are taken: one so short is seen as a whole
/// anyway. Longer ones get further lanes.
const STACKED_MAX: usize = 4;

/// In how many lanes the events of one server and layer stand beside each other.
const SERVER_LANES_MAX: usize = 3;

/// Layers: the longest path over `prev_events`. Parents come before their children.
fn layers(nodes: &[Node]) -> Vec<usize> {
    let mut layers: Vec<usize> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let above = node.prev_events.iter().filter_map(|prev| layers.get(*prev)).max();
        layers.push(above.map_or(0, |above| above + 1));
    }
    layers
}

/// A lane for every fork. The room is taken apart into strands, the longest path first; a strand
/// stands in the first lane in which nothing is in its way. Single events that nothing comes after,
/// and short strands for which there is no lane, are stacked where their layer has room.
pub(super) fn by_fork(nodes: &[Node]) -> Places {
    let children = children(nodes);
    let (ends, strands): (Vec<_>, Vec<_>) =
        strands(&children).into_iter().enumerate().partition(|(number, strand)| {
            *number > 0 && matches!(strand.as_slice(), [only] if has_none(&children, *only))
        });
    let mut places = Places {
        lane: vec![0; nodes.len()],
        layer: layers(nodes),
        row: vec![None; nodes.len()],
        strand: vec![0; nodes.len()],
        begins: vec![false; nodes.len()],
        lanes: 0,
    };
    for (number, strand) in strands.iter().chain(&ends) {
        strand.iter().for_each(|event| set(&mut places.strand, *event, *number));
        if let Some(first) = strand.first() {
            set(&mut places.begins, *first, true);
        }
    }
    let mut taken = BTreeSet::new();
    let mut stacked: Vec<usize> = ends.iter().flat_map(|(_, strand)| strand).copied().collect();
    for (_, strand) in &strands {
        let Some(first) = strand.first() else { continue };
        let (from, until) = (line_begins(nodes, &places, *first), lane_ends(strand, &children, &places));
        let lane = first_free(&taken, from, until);
        if lane >= LANES_MAX && strand.len() <= STACKED_MAX {
            stacked.extend(strand);
            continue;
        }
        taken.extend((from..=until).map(|layer| (lane, layer)));
        strand.iter().for_each(|event| set(&mut places.lane, *event, lane));
        places.lanes = places.lanes.max(lane + 1);
    }
    stack(&mut places, &taken, stacked);
    places
}

/// Puts events into the first lanes that are free in their layer, row below row.
fn stack(places: &mut Places, taken: &BTreeSet<(usize, usize)>, mut events: Vec<usize>) {
    let width = places.lanes.max(LANES_MAX + BESIDE_MAX);
    events.sort_by_key(|event| (at(&places.layer, *event), *event));
    for in_layer in events.chunk_by(|a, b| at(&places.layer, *a) == at(&places.layer, *b)) {
        let Some(layer) = in_layer.first().map(|first| at(&places.layer, *first)) else { continue };
        let beside = BESIDE_MAX.max(in_layer.len().isqrt());
        let free = (0..width).filter(|lane| !taken.contains(&(*lane, layer)));
        let mut lanes: Vec<usize> = free.take(beside).collect();
        if lanes.is_empty() {
            lanes.push(width);
        }
        for (number, event) in in_layer.iter().enumerate() {
            let lane = at(&lanes, number % lanes.len());
            set(&mut places.lane, *event, lane);
            set(&mut places.row, *event, Some(number / lanes.len()));
            places.lanes = places.lanes.max(lane + 1);
        }
    }
}

/// One lane for every server, and more where a server forked with itself; many events of one server
/// and layer are stacked.
pub(super) fn by_server(nodes: &[Node], servers: usize) -> Places {
    let layer = layers(nodes);
    let depth = layer.iter().max().map_or(0, |deepest| deepest + 1);
    // For each server and layer, how many events stand there.
    let mut taken = vec![vec![0usize; depth]; servers];
    let mut beside = vec![0; nodes.len()];
    for (event, node) in nodes.iter().enumerate() {
        let here = taken.get_mut(node.server).and_then(|layers_of| layers_of.get_mut(at(&layer, event)));
        if let Some(here) = here {
            set(&mut beside, event, *here);
            *here += 1;
        }
    }
    let most = |of_server: &Vec<usize>| of_server.iter().copied().max().unwrap_or(0);
    let widths: Vec<usize> = taken.iter().map(|layers| most(layers).clamp(1, SERVER_LANES_MAX)).collect();
    let before = |server: usize| widths.iter().take(server).sum::<usize>();
    Places {
        lane: nodes
            .iter()
            .zip(&beside)
            .map(|(node, beside)| before(node.server) + beside % SERVER_LANES_MAX)
            .collect(),
        layer,
        row: beside.iter().map(|beside| Some(beside / SERVER_LANES_MAX).filter(|row| *row > 0)).collect(),
        strand: nodes.iter().map(|node| node.server).collect(),
        begins: vec![true; nodes.len()],
        lanes: widths.iter().sum(),
    }
}

fn children(nodes: &[Node]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); nodes.len()];
    for (event, node) in nodes.iter().enumerate() {
        for prev in &node.prev_events {
            if let Some(children) = children.get_mut(*prev) {
                children.push(event);
            }
        }
    }
    children
}

/// The longest path of the graph, then the longest of what is left, and so on.
fn strands(children: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut height = vec![0usize; children.len()];
    for (event, below) in children.iter().enumerate().rev() {
        let highest = below.iter().map(|child| at(&height, *child)).max();
        set(&mut height, event, highest.map_or(1, |highest| highest + 1));
    }
    let mut by_height: Vec<usize> = (0..children.len()).collect();
    by_height.sort_by_key(|event| (Reverse(at(&height, *event)), *event));
    let mut is_taken = vec![false; children.len()];
    let mut strands = Vec::new();
    for start in by_height {
        let mut strand = Vec::new();
        let mut next = Some(start).filter(|event| is_taken.get(*event) == Some(&false));
        while let Some(event) = next {
            set(&mut is_taken, event, true);
            strand.push(event);
            let free = children.get(event).into_iter().flatten().copied();
            next = free
                .filter(|child| is_taken.get(*child) == Some(&false))
                .max_by_key(|child| (at(&height, *child), Reverse(*child)));
        }
        if !strand.is_empty() {
            strands.push(strand);
        }
    }
    strands
}

/// Where the line to the first event of a strand comes into the lane: below the highest of its parents.
fn line_begins(nodes: &[Node], places: &Places, first: usize) -> usize {
    let prev_events = nodes.get(first).map(|node| node.prev_events.as_slice()).unwrap_or_default();
    let parent = prev_events.iter().map(|prev| at(&places.layer, *prev)).min();
    let own = at(&places.layer, first);
    parent.map_or(own, |parent| (parent + 1).min(own))
}

/// How far down the lane of a strand is needed: to its last event, and to where its lines leave it.
fn lane_ends(strand: &[usize], children: &[Vec<usize>], places: &Places) -> usize {
    let below = strand.iter().filter_map(|event| children.get(*event)).flatten();
    let merges = below.filter(|child| places.begins.get(**child) == Some(&false));
    let last = strand.iter().chain(merges).map(|event| at(&places.layer, *event)).max();
    last.unwrap_or(0)
}

fn first_free(taken: &BTreeSet<(usize, usize)>, from: usize, until: usize) -> usize {
    let is_free = |lane: &usize| taken.range((*lane, from)..=(*lane, until)).next().is_none();
    (0..).find(is_free).unwrap_or(0)
}

fn has_none(children: &[Vec<usize>], event: usize) -> bool {
    children.get(event).is_none_or(Vec::is_empty)
}

pub(super) fn at(values: &[usize], index: usize) -> usize {
    values.get(index).copied().unwrap_or(0)
}

fn set<T>(values: &mut [T], index: usize, value: T) {
    if let Some(place) = values.get_mut(index) {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes with these parents.
    fn nodes(parents: &[&[usize]]) -> Vec<Node> {
        parents.iter().map(|parents| Node { prev_events: parents.to_vec(), ..Node::default() }).collect()
    }

    #[test]
    fn a_fork_has_a_lane_of_its_own_until_it_ends() {
        // 0 ─ 1 ─ 2 ─ 3 ─ 6 ─ 7
        //      \─ 4 ─ 5 ─/
        let room = nodes(&[&[], &[0], &[1], &[2], &[1], &[4], &[3, 5], &[6]]);
        let places = by_fork(&room);
        assert_eq!(places.layer, [0, 1, 2, 3, 2, 3, 4, 5]);
        assert_eq!(places.lane, [0, 0, 0, 0, 1, 1, 0, 0]);
        assert_eq!(places.strand, [0, 0, 0, 0, 1, 1, 0, 0]);
        assert_eq!(places.lanes, 2);
    }

    #[test]
    fn a_lane_is_used_again_when_its_fork_has_ended() {
        // Two forks, one after the other.
        let room = nodes(&[&[], &[0], &[0], &[1, 2], &[3], &[3], &[4, 5]]);
        let places = by_fork(&room);
        assert_eq!(places.lanes, 2);
        assert_ne!(places.strand.get(2), places.strand.get(5));
    }

    #[test]
    fn the_longest_path_is_in_the_first_lane() {
        // A short end first, and the room goes on beside it.
        let room = nodes(&[&[], &[0], &[0], &[2], &[3]]);
        let places = by_fork(&room);
        assert_eq!(places.lane, [0, 1, 0, 0, 0]);
        assert_eq!(places.row, [None, Some(0), None, None, None]);
    }

    #[test]
    fn events_that_nothing_comes_after_are_stacked() {
        let mut parents: Vec<&[usize]> = vec![&[], &[0], &[1]];
        parents.extend([&[0][..]; 10]);
        let places = by_fork(&nodes(&parents));
        assert_eq!(places.lanes, 1 + BESIDE_MAX);
        assert_eq!(places.row.iter().flatten().max(), Some(&(9 / BESIDE_MAX)));
    }

    #[test]
    fn short_forks_are_stacked_when_there_are_many() {
        // A long path, from the first event of which twenty others lead to the last.
        let mut parents: Vec<Vec<usize>> =
            (0..10_usize).map(|event| event.checked_sub(1).into_iter().collect()).collect();
        parents.extend((0..20).map(|_| vec![0]));
        parents.push([9].into_iter().chain(10..30).collect());
        let borrowed: Vec<&[usize]> = parents.iter().map(Vec::as_slice).collect();
        let places = by_fork(&nodes(&borrowed));
        assert_eq!(places.lanes, LANES_MAX + BESIDE_MAX);
        let stacked = places.row.iter().flatten().count();
        assert_eq!(stacked, 20 - (LANES_MAX - 1));
        let mut seen = BTreeSet::new();
        for event in 0..nodes(&borrowed).len() {
            let row = places.row[event].unwrap_or(0);
            assert!(seen.insert((places.layer[event], places.lane[event], row)), "two stand in one place");
        }
    }

    #[test]
    fn long_forks_have_lanes_however_many_there_are() {
        let mut parents: Vec<Vec<usize>> = vec![vec![]];
        for _ in 0..2 * LANES_MAX {
            for step in 0..=STACKED_MAX {
                let last = parents.len() - 1;
                parents.push(vec![if step == 0 { 0 } else { last }]);
            }
        }
        let borrowed: Vec<&[usize]> = parents.iter().map(Vec::as_slice).collect();
        let places = by_fork(&nodes(&borrowed));
        assert_eq!((places.lanes, places.row.iter().flatten().count()), (2 * LANES_MAX, 0));
    }

    #[test]
    fn many_events_of_one_server_are_stacked() {
        let mut parents: Vec<&[usize]> = vec![&[]];
        parents.extend([&[0][..]; 7]);
        let places = by_server(&nodes(&parents), 1);
        assert_eq!(places.lanes, SERVER_LANES_MAX);
        assert_eq!(places.row.last(), Some(&Some(2)));
    }

    #[test]
    fn servers_have_lanes_side_by_side() {
        let mut room = nodes(&[&[], &[0], &[0], &[1, 2]]);
        for (node, server) in room.iter_mut().zip([0, 1, 1, 0]) {
            node.server = server;
        }
        let places = by_server(&room, 2);
        assert_eq!(places.lane, [0, 1, 2, 0]);
        assert_eq!(places.lanes, 3);
    }
}
