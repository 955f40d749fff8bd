//! Where everything stands, in pixels.

use crate::cli;
use crate::draw::Node;
use crate::draw::lanes::{self, Places, at};

pub(super) const BOX_WIDTH: usize = 216;
pub(super) const BOX_HEIGHT: usize = 36;
const LANE_GAP: usize = 24;
const LAYER_GAP: usize = 22;
const ROW_GAP: usize = 6;
const MARGIN_LEFT: usize = 52;
const MARGIN_TOP: usize = 84;
const MARGIN: usize = 24;

/// The place of every event and the way of every edge.
pub(super) struct Layout {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Top left corners, by event.
    pub(super) corners: Vec<(usize, usize)>,
    /// What is coloured alike, by event.
    pub(super) strands: Vec<usize>,
    /// Whether the strand of an event begins with it.
    begins: Vec<bool>,
    /// Where each layer begins and ends.
    pub(super) layers: Vec<(usize, usize)>,
    /// The layer of each event.
    layer: Vec<usize>,
    /// Whether the lines of an event come and go on its left.
    at_left: Vec<bool>,
    pub(super) edges: Vec<Edge>,
}

/// A line from an event to one it refers to.
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) kind: EdgeKind,
    /// The strand whose colour it has.
    pub(super) strand: usize,
    /// The `d` of an SVG path.
    pub(super) path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EdgeKind {
    Prev,
    Auth,
}

impl Layout {
    /// A picture at least `width` wide.
    pub(super) fn of(nodes: &[Node], wanted: cli::Lanes, width: usize) -> Layout {
        let servers = nodes.iter().map(|node| node.server + 1).max().unwrap_or(0);
        let places = match wanted {
            cli::Lanes::Forks => lanes::by_fork(nodes),
            cli::Lanes::Servers => lanes::by_server(nodes, servers),
        };
        let layers = layers(&places);
        let left = |lane: usize| MARGIN_LEFT + lane * (BOX_WIDTH + LANE_GAP);
        let top = |event: usize| {
            let (top, _) = layers.get(at(&places.layer, event)).copied().unwrap_or_default();
            top + places.row.get(event).copied().flatten().unwrap_or(0) * (BOX_HEIGHT + ROW_GAP)
        };
        let corners: Vec<(usize, usize)> =
            places.lane.iter().enumerate().map(|(event, lane)| (left(*lane), top(event))).collect();
        let mut layout = Layout {
            width: left(places.lanes).max(width) + MARGIN,
            height: layers.last().map_or(MARGIN_TOP, |(_, bottom)| *bottom) + MARGIN,
            corners,
            strands: places.strand,
            begins: places.begins,
            layers,
            layer: places.layer,
            at_left: places.row.iter().map(Option::is_some).collect(),
            edges: Vec::new(),
        };
        layout.edges =
            nodes.iter().enumerate().flat_map(|(from, node)| layout.edges_of(from, node)).collect();
        layout
    }

    fn edges_of(&self, from: usize, node: &Node) -> Vec<Edge> {
        let prev = node.prev_events.iter().map(|to| Edge {
            from,
            to: *to,
            kind: EdgeKind::Prev,
            strand: self.strand_of_edge(from, *to),
            path: self.prev_path(from, *to),
        });
        let auth = node.auth_events.iter().map(|to| Edge {
            from,
            to: *to,
            kind: EdgeKind::Auth,
            strand: at(&self.strands, *to),
            path: self.auth_path(from, *to),
        });
        prev.chain(auth).collect()
    }

    /// A line belongs to the fork that begins or ends with it.
    fn strand_of_edge(&self, from: usize, to: usize) -> usize {
        at(&self.strands, if self.begins(from) { from } else { to })
    }

    fn begins(&self, event: usize) -> bool {
        self.begins.get(event) == Some(&true)
    }

    fn is_at_left(&self, event: usize) -> bool {
        self.at_left.get(event) == Some(&true)
    }

    fn corner(&self, event: usize) -> (usize, usize) {
        self.corners.get(event).copied().unwrap_or_default()
    }

    /// Straight down in one lane. Between lanes: out of the lane below the layer of the parent when
    /// a fork begins, into the lane directly above the child when forks meet. To and from events
    /// that are stacked, down beside the lane.
    fn prev_path(&self, child: usize, parent: usize) -> String {
        let ((child_x, child_y), (parent_x, parent_y)) = (self.corner(child), self.corner(parent));
        let beside = |x: usize| x.saturating_sub(LANE_GAP / 2);
        let (x1, start) = if self.is_at_left(parent) {
            let x1 = beside(parent_x);
            (x1, format!("M{parent_x} {}H{x1}", parent_y + BOX_HEIGHT / 2))
        } else {
            let x1 = parent_x + BOX_WIDTH / 2;
            (x1, format!("M{x1} {}", parent_y + BOX_HEIGHT))
        };
        let (x2, y2) = (child_x + BOX_WIDTH / 2, child_y);
        let (_, bottom) = self.layers.get(at(&self.layer, parent)).copied().unwrap_or_default();
        let (middle, turned) = (bottom + LAYER_GAP / 2, bottom + LAYER_GAP);
        if self.is_at_left(child) {
            let (x2, into) = (beside(child_x), child_y + BOX_HEIGHT / 2);
            format!("{start}V{bottom}C{x1} {middle} {x2} {middle} {x2} {turned}V{into}H{child_x}")
        } else if x1 == x2 {
            format!("{start}V{y2}")
        } else if self.begins(child) {
            format!("{start}V{bottom}C{x1} {middle} {x2} {middle} {x2} {turned}V{y2}")
        } else {
            let (turn, middle) = (y2.saturating_sub(LAYER_GAP), y2.saturating_sub(LAYER_GAP / 2));
            format!("{start}V{turn}C{x1} {middle} {x2} {middle} {x2} {y2}")
        }
    }

    /// A bow from the left side of the event to the left side of what authorises it.
    fn auth_path(&self, event: usize, auth_event: usize) -> String {
        let ((x1, y1), (x2, y2)) = (self.corner(event), self.corner(auth_event));
        let (y1, y2) = (y1 + BOX_HEIGHT / 2, y2 + BOX_HEIGHT / 2);
        let out = 10 + y1.abs_diff(y2).min(600) / 20;
        format!("M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}", x1.saturating_sub(out), x2.saturating_sub(out))
    }
}

/// Where each layer begins and ends: as high as its most stacked lane.
fn layers(places: &Places) -> Vec<(usize, usize)> {
    let depth = places.layer.iter().max().map_or(0, |deepest| deepest + 1);
    let mut rows = vec![1usize; depth];
    for (layer, row) in places.layer.iter().zip(&places.row) {
        if let (Some(rows), Some(row)) = (rows.get_mut(*layer), row) {
            *rows = (*rows).max(row + 1);
        }
    }
    let mut top = MARGIN_TOP;
    let layer = |rows: usize| {
        let bottom = top + rows * (BOX_HEIGHT + ROW_GAP) - ROW_GAP;
        let extent = (top, bottom);
        top = bottom + LAYER_GAP;
        extent
    };
    rows.into_iter().map(layer).collect()
}
