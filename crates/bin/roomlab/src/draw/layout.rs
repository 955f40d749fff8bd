//! Where everything stands, in pixels.

use crate::cli;
use crate::draw::Node;
use crate::draw::lanes::{self, at};

pub(super) const BOX_WIDTH: usize = 216;
pub(super) const BOX_HEIGHT: usize = 36;
const LANE_GAP: usize = 24;
const LAYER_GAP: usize = 22;
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
    /// Where each layer begins.
    pub(super) layers: Vec<usize>,
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
        let depth = places.layer.iter().max().map_or(0, |deepest| deepest + 1);
        let top = |layer: usize| MARGIN_TOP + layer * (BOX_HEIGHT + LAYER_GAP);
        let left = |lane: usize| MARGIN_LEFT + lane * (BOX_WIDTH + LANE_GAP);
        let corners: Vec<(usize, usize)> =
            places.lane.iter().zip(&places.layer).map(|(lane, layer)| (left(*lane), top(*layer))).collect();
        let mut layout = Layout {
            width: left(places.lanes).max(width) + MARGIN,
            height: top(depth) + MARGIN,
            corners,
            strands: places.strand,
            begins: places.begins,
            layers: (0..depth).map(top).collect(),
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

    fn corner(&self, event: usize) -> (usize, usize) {
        self.corners.get(event).copied().unwrap_or_default()
    }

    /// Straight down in one lane. Between lanes: out of the lane directly below the parent when a fork
    /// begins, into the lane directly above the child when forks meet.
    fn prev_path(&self, child: usize, parent: usize) -> String {
        let ((child_x, child_y), (parent_x, parent_y)) = (self.corner(child), self.corner(parent));
        let (x1, y1) = (parent_x + BOX_WIDTH / 2, parent_y + BOX_HEIGHT);
        let (x2, y2) = (child_x + BOX_WIDTH / 2, child_y);
        if x1 == x2 {
            return format!("M{x1} {y1}V{y2}");
        }
        if self.begins(child) {
            let turned = y1 + LAYER_GAP;
            let middle = y1 + LAYER_GAP / 2;
            format!("M{x1} {y1}C{x1} {middle} {x2} {middle} {x2} {turned}V{y2}")
        } else {
            let turn = y2.saturating_sub(LAYER_GAP);
            let middle = y2.saturating_sub(LAYER_GAP / 2);
            format!("M{x1} {y1}V{turn}C{x1} {middle} {x2} {middle} {x2} {y2}")
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
