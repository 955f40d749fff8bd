//! Which lane each event stands in.

use crate::draw::Node;

/// The lanes of a picture.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lanes {
    /// By event.
    pub(super) lane: Vec<usize>,
    /// By event: the stretch of a lane it belongs to, counted from 0; what is coloured alike.
    pub(super) strand: Vec<usize>,
    pub(super) count: usize,
}

/// Which event comes how far down: the longest path over `prev_events`. Parents come before their children.
pub(super) fn layers(nodes: &[Node]) -> Vec<usize> {
    let mut layers: Vec<usize> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let above = node.prev_events.iter().filter_map(|prev| layers.get(*prev)).max();
        layers.push(above.map_or(0, |above| above + 1));
    }
    layers
}

/// The last event of a lane, and how far down the lane is taken.
#[derive(Clone, Copy)]
struct Tip {
    event: usize,
    strand: usize,
    until: usize,
}

/// A lane for every fork: an event goes on in the lane of a parent that nobody else went on in, or begins
/// a new strand in the first lane that is free from its parent down.
pub(super) fn by_fork(nodes: &[Node], layers: &[usize]) -> Lanes {
    let reach = reach(nodes, layers);
    let mut tips: Vec<Tip> = Vec::new();
    let mut strands = 0;
    let mut lanes = Lanes { lane: vec![0; nodes.len()], strand: vec![0; nodes.len()], count: 0 };
    for event in top_down(layers) {
        let Some(node) = nodes.get(event) else { continue };
        let (layer, until) = (at(layers, event), at(&reach, event));
        let continued = tips.iter().position(|tip| node.prev_events.contains(&tip.event));
        let lane = continued.unwrap_or_else(|| {
            // The line from the parent comes down in the new lane.
            let parent = node.prev_events.iter().map(|prev| at(layers, *prev)).min();
            let from = parent.map_or(layer, |parent| parent + 1);
            tips.iter().position(|tip| tip.until < from).unwrap_or(tips.len())
        });
        let strand = match continued.and_then(|lane| tips.get(lane)) {
            Some(tip) => tip.strand,
            None => {
                strands += 1;
                strands - 1
            }
        };
        let tip = Tip { event, strand, until };
        match tips.get_mut(lane) {
            Some(place) => *place = tip,
            None => tips.push(tip),
        }
        set(&mut lanes.lane, event, lane);
        set(&mut lanes.strand, event, strand);
    }
    lanes.count = tips.len();
    lanes
}

/// One lane for every server, and more where a server forked with itself.
pub(super) fn by_server(nodes: &[Node], layers: &[usize], servers: usize) -> Lanes {
    let depth = layers.iter().max().map_or(0, |deepest| deepest + 1);
    // For each server and layer, how many events stand there.
    let mut taken = vec![vec![0usize; depth]; servers];
    let mut place = vec![0; nodes.len()];
    for (event, node) in nodes.iter().enumerate() {
        let here = taken.get_mut(node.server).and_then(|layers_of| layers_of.get_mut(at(layers, event)));
        if let Some(here) = here {
            set(&mut place, event, *here);
            *here += 1;
        }
    }
    let widths: Vec<usize> =
        taken.iter().map(|of_server| of_server.iter().copied().max().unwrap_or(0).max(1)).collect();
    let before = |server: usize| widths.iter().take(server).sum::<usize>();
    Lanes {
        lane: nodes.iter().zip(&place).map(|(node, place)| before(node.server) + place).collect(),
        strand: nodes.iter().map(|node| node.server).collect(),
        count: widths.iter().sum(),
    }
}

/// How far down the lane below each event is needed: to its last child.
fn reach(nodes: &[Node], layers: &[usize]) -> Vec<usize> {
    let mut reach = layers.to_vec();
    for (event, node) in nodes.iter().enumerate() {
        for prev in &node.prev_events {
            let further = at(&reach, *prev).max(at(layers, event));
            set(&mut reach, *prev, further);
        }
    }
    reach
}

/// The events layer by layer.
fn top_down(layers: &[usize]) -> Vec<usize> {
    let mut events: Vec<usize> = (0..layers.len()).collect();
    events.sort_by_key(|event| (at(layers, *event), *event));
    events
}

pub(super) fn at(values: &[usize], index: usize) -> usize {
    values.get(index).copied().unwrap_or(0)
}

fn set(values: &mut [usize], index: usize, value: usize) {
    if let Some(place) = values.get_mut(index) {
        *place = value;
    }
}
