//! The state that events are checked against, while it is being built.

use std::{borrow::Borrow, collections::HashMap};

use freehold_event::{EventSource, EventView};

use crate::{ResolveError, Resolved, conflict::Conflict, forks::Forks, graph::Graph, node_map::Node};

/// The state built so far: what has been put into it, and what it stands on.
pub(crate) struct Lookup<'r, 'a, S: EventSource, F> {
    pub(crate) graph: Graph<'a, S>,
    forks: &'r F,
    base: Base,
    /// Only ever asked for single keys, never iterated.
    held: HashMap<(&'a str, &'a str), Held>,
    /// The create events that the forks have in their state.
    creates: Vec<Node>,
}

/// What stands for a key on which nothing has been put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// The unconflicted state map, and then what the event itself cites (version 2.0).
    UnconflictedThenCited,
    /// What the event itself cites (version 2.1).
    Cited,
    /// The unconflicted state map (version 1).
    Unconflicted,
}

#[derive(Clone, Copy, Default)]
struct Held {
    /// Whether the forks disagree on the key.
    is_conflicted: bool,
    /// What has been put there, or has been read from the unconflicted state map.
    event: Option<Node>,
}

impl<'r, 'a, S: EventSource, F: Forks<S::Id>> Lookup<'r, 'a, S, F> {
    pub(crate) fn new(
        mut graph: Graph<'a, S>,
        forks: &'r F,
        conflict: &Conflict,
        base: Base,
    ) -> Result<Self, ResolveError<S::Id>> {
        let mut held = HashMap::with_capacity(conflict.events.len());
        let mut creates = Vec::new();
        if let Some(create) = forks.unconflicted("m.room.create", "")? {
            creates.push(graph.enter(create.borrow())?);
        }
        for node in &conflict.events {
            if let Some(event) = graph.loaded(*node) {
                held.insert(key_of(event), Held { is_conflicted: true, event: None });
                if event.is_state("m.room.create", "") {
                    creates.push(*node);
                }
            }
        }
        Ok(Self { graph, forks, base, held, creates })
    }

    /// Puts a state event into the state.
    pub(crate) fn put(&mut self, node: Node) {
        self.set(node, Some(node));
    }

    /// Takes what was put on the key of an event out again.
    pub(crate) fn take_out(&mut self, node: Node) {
        self.set(node, None);
    }

    /// What a conflicted key comes to, given one of its events.
    pub(crate) fn resolved(&mut self, node: Node) -> Option<Resolved<'a, S::Id>> {
        let (event_type, state_key) = key_of(self.graph.loaded(node)?);
        let winner = self.held.get(&(event_type, state_key)).and_then(|held| held.event);
        let event = winner.and_then(|winner| self.graph.id(winner));
        let generation = winner.and_then(|winner| self.graph.known_generation(winner));
        Some(Resolved { event_type, state_key, event, generation })
    }

    /// Whether an event stands on a key that no fork has: only an auth chain led to it.
    pub(crate) fn stands_outside_forks(&self, node: Node) -> Result<bool, ResolveError<S::Id>> {
        let Some(key) = self.graph.loaded(node).map(key_of) else { return Ok(false) };
        let held = self.held.get(&key).copied().unwrap_or_default();
        if held.is_conflicted || held.event != Some(node) {
            return Ok(false);
        }
        Ok(self.forks.unconflicted(key.0, key.1)?.is_none())
    }

    /// What the state has for a key.
    pub(crate) fn in_state(
        &mut self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Node>, ResolveError<S::Id>> {
        match self.held.get(&(event_type, state_key)) {
            Some(held) => Ok(held.event),
            None if self.base == Base::Cited => Ok(None),
            None => self.unconflicted(event_type, state_key),
        }
    }

    /// What the state has for a key when `event` is checked.
    ///
    /// > If a (event_type, state_key) key that is required for checking the authorisation rules is
    /// > not present in the state, then the appropriate state event from the event's auth_events
    /// > is used if the auth event is not rejected.
    pub(crate) fn find(
        &mut self,
        event: Node,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Node>, ResolveError<S::Id>> {
        if let Some(node) = self.in_state(event_type, state_key)? {
            return Ok(Some(node));
        }
        if self.base == Base::Unconflicted {
            return Ok(None);
        }
        self.cited_and_not_rejected(event, event_type, state_key)
    }

    /// The event of the unconflicted state map, remembered.
    fn unconflicted(
        &mut self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Node>, ResolveError<S::Id>> {
        let Some(id) = self.forks.unconflicted(event_type, state_key)? else { return Ok(None) };
        let node = self.graph.enter(id.borrow())?;
        if let Some(event) = self.graph.loaded(node)
            && event.is_state(event_type, state_key)
        {
            self.held.insert(key_of(event), Held { is_conflicted: false, event: Some(node) });
        }
        Ok(Some(node))
    }

    /// The create event by which the room of an event is named: its room id is that event's id
    /// with another sigil.
    pub(crate) fn create_of_room(&self, room_id: Option<&str>) -> Option<Node> {
        let name = room_id?.strip_prefix('!')?;
        self.creates.iter().copied().find(|node| {
            let create = self.graph.loaded(*node);
            create.is_some_and(|create| create.event_id.strip_prefix('$') == Some(name))
        })
    }

    fn set(&mut self, node: Node, value: Option<Node>) {
        if let Some(event) = self.graph.loaded(node) {
            self.held.entry(key_of(event)).or_default().event = value;
        }
    }

    fn cited_and_not_rejected(
        &mut self,
        event: Node,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Node>, ResolveError<S::Id>> {
        for position in self.graph.links(event)? {
            let auth_event = self.graph.link(position);
            if let Some(view) = self.graph.view(auth_event)?
                && view.is_state(event_type, state_key)
                && !view.rejected
            {
                return Ok(Some(auth_event));
            }
        }
        Ok(None)
    }
}

/// The key of a state event. (Events without a state key are never put into a state.)
fn key_of<'a, Id>(event: &EventView<'a, Id>) -> (&'a str, &'a str) {
    (event.event_type, event.state_key.unwrap_or_default())
}
