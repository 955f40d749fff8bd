//! The mainline ordering.

use std::cmp::Reverse;

use freehold_event::EventSource;

use crate::{
    budget::BudgetLine,
    error::Failure,
    graph::Graph,
    node_map::{Node, NodeMap},
};

/// The mainline of a power-levels event, followed back only as far as positions were asked for.
///
/// > Let P = P0 be an m.room.power_levels event. Starting with i = 0, repeatedly fetch Pi+1, the
/// > m.room.power_levels event in the auth_events of Pi. Increment i and repeat until Pi has no
/// > m.room.power_levels event in its auth_events. The mainline of P0 is the list of events
/// > [P0, P1, ... , Pn], fetched in this way.
///
/// Generations fall along the mainline, so once its last known event is no higher than some event, it is
/// known whether that event is in it. Rooms with a long history of power levels pay for the part
/// that the conflict spans.
pub(crate) struct Mainline {
    events: Vec<Node>,
    /// Whether the last of `events` is Pn.
    is_whole: bool,
    /// One more than the position in the mainline, 0 for events that are not in it.
    places: NodeMap<u32>,
    /// What [`Mainline::nearest`] found before.
    nearest: NodeMap<Option<Position>>,
}

/// A mainline position; "otherwise set i = ∞, where ∞ is a sentinel value greater than any
/// integer".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Position {
    At(u32),
    Infinite,
}

impl Mainline {
    /// The mainline of the given event; without one, every position is infinite.
    pub(crate) fn new(power_levels: Option<Node>) -> Self {
        let mut places = NodeMap::new();
        if let Some(node) = power_levels {
            places.set(node, 1);
        }
        let events: Vec<Node> = power_levels.into_iter().collect();
        Self { is_whole: events.is_empty(), events, places, nearest: NodeMap::new() }
    }

    /// Sorts events into the [mainline ordering], each with its position.
    ///
    /// > x < y if
    /// > 1. the mainline position of x is greater than the mainline position of y (i.e. the auth
    /// >    chain of x is based on an earlier event in the mainline than y); or
    /// > 2. the mainline positions of the events are the same, but x's origin_server_ts is less
    /// >    than y's origin_server_ts; or
    /// > 3. the mainline positions of the events are the same and the events have the same
    /// >    origin_server_ts, but x's event_id is less than y's event_id.
    ///
    /// [mainline ordering]: https://spec.matrix.org/v1.19/rooms/v2/#definitions
    pub(crate) fn order<S: EventSource>(
        &mut self,
        graph: &mut Graph<'_, S>,
        events: &[Node],
    ) -> Result<Vec<(Node, Position)>, Failure<S::Id>> {
        graph.spend(BudgetLine::SortSteps, events.len())?;
        let mut keyed = Vec::with_capacity(events.len());
        let mut last = None;
        for node in events {
            let links = graph.links(*node)?;
            // Events that cite the same have the same position.
            let position = match &last {
                Some((known, position)) if *known == links => *position,
                _ => self.position(graph, *node)?,
            };
            last = Some((links, position));
            let (ts, event_id) =
                graph.loaded(*node).map_or((0, ""), |event| (event.origin_server_ts, event.event_id));
            keyed.push(((Reverse(position), ts, event_id), *node));
        }
        keyed.sort_unstable();
        Ok(keyed.into_iter().map(|((position, _, _), node)| (node, position.0)).collect())
    }

    /// > Find the smallest index j ≥ 1 for which ej belongs to the mainline of P. If such a j
    /// > exists, then ej = Pi for some unique index i ≥ 0. Otherwise set i = ∞. In both cases, the
    /// > mainline position of e is i.
    fn position<S: EventSource>(
        &mut self,
        graph: &mut Graph<'_, S>,
        event: Node,
    ) -> Result<Position, Failure<S::Id>> {
        match graph.power_levels_cited(event)? {
            Some(power_levels) => self.nearest(graph, power_levels),
            None => Ok(Position::Infinite),
        }
    }

    /// The position of the first event of the mainline that is met from a power-levels event
    /// backwards, itself included; remembered for everything on the way.
    fn nearest<S: EventSource>(
        &mut self,
        graph: &mut Graph<'_, S>,
        power_levels: Node,
    ) -> Result<Position, Failure<S::Id>> {
        if let Some(found) = self.nearest.get(power_levels) {
            return Ok(found);
        }
        let mut way = Vec::new();
        let mut at = power_levels;
        let found = loop {
            if let Some(found) = self.nearest.get(at) {
                break found;
            }
            way.push(at);
            if let Some(place) = self.place(graph, at)? {
                break Position::At(place);
            }
            let Some(before) = graph.power_levels_cited(at)? else { break Position::Infinite };
            let generation = graph.generation(at)?;
            graph.generation_below((generation, at), before)?;
            at = before;
        };
        for node in way {
            self.nearest.set(node, Some(found));
        }
        Ok(found)
    }

    /// Where in the mainline an event is.
    fn place<S: EventSource>(
        &mut self,
        graph: &mut Graph<'_, S>,
        node: Node,
    ) -> Result<Option<u32>, Failure<S::Id>> {
        let generation = graph.generation(node)?;
        while !self.is_whole
            && let Some(last) = self.events.last().copied()
            && graph.generation(last)? > generation
        {
            match graph.power_levels_cited(last)? {
                Some(before) => {
                    let generation = graph.generation(last)?;
                    graph.generation_below((generation, last), before)?;
                    self.events.push(before);
                    self.places.set(before, u32::try_from(self.events.len()).unwrap_or(u32::MAX));
                }
                None => self.is_whole = true,
            }
        }
        Ok(self.places.get(node).checked_sub(1))
    }
}
