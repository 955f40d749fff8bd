//! The state that events are checked against, while it is being built.

use std::borrow::Borrow;

use freehold_event::EventSource;

use crate::{
    ResolveError, Resolved,
    conflict::Conflict,
    forks::Forks,
    graph::Graph,
    key::{Key, Kind},
    key_numbers::KeyNumber,
    node_map::Node,
};

/// The state built so far: what has been put into it, and what it stands on.
pub(crate) struct Lookup<'r, 'a, S: EventSource, F> {
    pub(crate) graph: Graph<'a, S>,
    forks: &'r F,
    base: Base,
    /// By the numbers of the keys.
    held: Vec<Option<Held>>,
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
        let mut creates = Vec::new();
        if let Some(create) = forks.unconflicted("m.room.create", "")? {
            creates.push(graph.enter(create.borrow())?);
        }
        let held = Vec::with_capacity(conflict.events.len());
        let mut lookup = Self { graph, forks, base, held, creates };
        lookup.enter_conflict(conflict);
        Ok(lookup)
    }

    fn enter_conflict(&mut self, conflict: &Conflict) {
        for node in &conflict.events {
            if self.graph.kind(*node) == Kind::Create {
                self.creates.push(*node);
            }
            if let Some(number) = self.graph.key_number(*node) {
                self.hold(number, Held { is_conflicted: true, event: None });
            }
        }
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
        let key = self.graph.key(node)?;
        let winner = self.held_for(node).and_then(|held| held.event);
        let event = winner.and_then(|winner| self.graph.id(winner));
        let generation = winner.and_then(|winner| self.graph.known_generation(winner));
        let (event_type, state_key) = key.names();
        Some(Resolved { event_type, state_key, event, generation })
    }

    /// Whether an event stands on a key that no fork has: only an auth chain led to it.
    pub(crate) fn stands_outside_forks(&mut self, node: Node) -> Result<bool, ResolveError<S::Id>> {
        let Some(key) = self.graph.key(node) else { return Ok(false) };
        let held = self.held_for(node).unwrap_or_default();
        if held.is_conflicted || held.event != Some(node) {
            return Ok(false);
        }
        let (event_type, state_key) = key.names();
        Ok(self.forks.unconflicted(event_type, state_key)?.is_none())
    }

    /// What the state has for a key.
    pub(crate) fn in_state(&mut self, key: Key<'_>) -> Result<Option<Node>, ResolveError<S::Id>> {
        let held = self.graph.number_of_key(key).and_then(|number| self.held_at(number));
        self.held_or_base(held, key)
    }

    /// What is held for a key, or else what the state stands on.
    fn held_or_base(
        &mut self,
        held: Option<Held>,
        key: Key<'_>,
    ) -> Result<Option<Node>, ResolveError<S::Id>> {
        match held {
            Some(held) => Ok(held.event),
            None if self.base == Base::Cited => Ok(None),
            None => self.unconflicted(key),
        }
    }

    /// What the state has for a key when `event` is checked.
    ///
    /// > If a (event_type, state_key) key that is required for checking the authorisation rules is
    /// > not present in the state, then the appropriate state event from the event's auth_events
    /// > is used if the auth event is not rejected.
    pub(crate) fn find(&mut self, event: Node, key: Key<'_>) -> Result<Option<Node>, ResolveError<S::Id>> {
        // Members mostly speak about themselves, and the number of an event's own key is known.
        let in_state = if self.graph.has_key(event, key) {
            let held = self.held_for(event);
            self.held_or_base(held, key)?
        } else {
            self.in_state(key)?
        };
        if in_state.is_some() {
            return Ok(in_state);
        }
        if self.base == Base::Unconflicted {
            return Ok(None);
        }
        self.cited_and_not_rejected(event, key)
    }

    /// The event of the unconflicted state map, remembered.
    fn unconflicted(&mut self, key: Key<'_>) -> Result<Option<Node>, ResolveError<S::Id>> {
        let (event_type, state_key) = key.names();
        let Some(id) = self.forks.unconflicted(event_type, state_key)? else { return Ok(None) };
        let node = self.graph.enter(id.borrow())?;
        if self.graph.has_key(node, key)
            && let Some(number) = self.graph.key_number(node)
        {
            self.hold(number, Held { is_conflicted: false, event: Some(node) });
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

    fn set(&mut self, node: Node, event: Option<Node>) {
        if let Some(number) = self.graph.key_number(node) {
            let is_conflicted = self.held_at(number).is_some_and(|held| held.is_conflicted);
            self.hold(number, Held { is_conflicted, event });
        }
    }

    /// What is held for the key of an event that was read.
    fn held_for(&mut self, node: Node) -> Option<Held> {
        let number = self.graph.key_number(node)?;
        self.held_at(number)
    }

    fn held_at(&self, number: KeyNumber) -> Option<Held> {
        self.held.get(number.position()).copied().flatten()
    }

    fn hold(&mut self, number: KeyNumber, held: Held) {
        if number.position() >= self.held.len() {
            self.held.resize(number.position() + 1, None);
        }
        if let Some(place) = self.held.get_mut(number.position()) {
            *place = Some(held);
        }
    }

    fn cited_and_not_rejected(
        &mut self,
        event: Node,
        key: Key<'_>,
    ) -> Result<Option<Node>, ResolveError<S::Id>> {
        for position in self.graph.links(event)? {
            let auth_event = self.graph.link(position);
            self.graph.load(auth_event)?;
            if self.graph.has_key(auth_event, key)
                && self.graph.loaded(auth_event).is_some_and(|event| !event.rejected)
            {
                return Ok(Some(auth_event));
            }
        }
        Ok(None)
    }
}
