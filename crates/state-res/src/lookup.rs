//! The state that events are checked against, while it is being built.

use std::borrow::Borrow;

use freehold_event::{EventSource, RoomVersion};

use crate::{
    Resolved,
    conflict::Conflict,
    error::Failure,
    forks::Forks,
    graph::Graph,
    hashing::Map,
    key::{Key, KeyNumber, Kind},
    node_map::Node,
};

/// The state built so far: what has been put into it, and what it stands on.
pub(crate) struct Lookup<'r, 'a, S: EventSource, F> {
    pub(crate) graph: Graph<'a, S>,
    forks: &'r F,
    base: Base,
    /// For the keys that almost every check asks for: create, power levels, join rules.
    fixed: [Option<Held>; 3],
    /// For the other conflicted keys, by their numbers.
    conflicted: Vec<Option<Node>>,
    /// For the other keys.
    unconflicted: Map<Key<'a>, Option<Node>>,
    /// One event of each conflicted key, by the numbers of the keys.
    firsts: Vec<Node>,
    /// The numbers of the conflicted keys; made when one is first asked for by its name.
    numbers: Option<Map<Key<'a>, KeyNumber>>,
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

/// Where it is held what stands for a key.
#[derive(Clone, Copy)]
enum Place<'k> {
    Fixed(usize),
    Conflicted(KeyNumber),
    Unconflicted(Key<'k>),
}

/// Whether room ids are made from create events, which are then not among `auth_events`.
pub(crate) fn names_room_by_create(version: &RoomVersion) -> bool {
    version.rules().authorization.room_create_event_id_as_room_id
}

impl<'r, 'a, S: EventSource, F: Forks<S::Id>> Lookup<'r, 'a, S, F> {
    pub(crate) fn new(
        mut graph: Graph<'a, S>,
        forks: &'r F,
        conflict: &Conflict,
        (base, version): (Base, &RoomVersion),
    ) -> Result<Self, Failure<S::Id>> {
        let mut creates = Vec::new();
        if names_room_by_create(version)
            && let Some(create) = forks.unconflicted("m.room.create", "")?
        {
            creates.push(graph.enter(create.borrow())?);
        }
        let mut firsts = Vec::with_capacity(conflict.keys);
        firsts.extend(conflict.first_of_keys().map(|entry| entry.node));
        let mut fixed = [None; 3];
        for place in firsts.iter().filter_map(|node| place_of_kind(graph.kind(*node))) {
            if let Some(held) = fixed.get_mut(place) {
                *held = Some(Held { is_conflicted: true, event: None });
            }
        }
        creates.extend(conflict.events.iter().filter(|node| graph.kind(**node) == Kind::Create));
        let conflicted = vec![None; firsts.len()];
        let (unconflicted, numbers) = (Map::default(), None);
        Ok(Self { graph, forks, base, fixed, conflicted, unconflicted, firsts, numbers, creates })
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
    pub(crate) fn stands_outside_forks(&mut self, node: Node) -> Result<bool, Failure<S::Id>> {
        let Some(key) = self.graph.key(node) else { return Ok(false) };
        let held = self.held_for(node).unwrap_or_default();
        if held.is_conflicted || held.event != Some(node) {
            return Ok(false);
        }
        let (event_type, state_key) = key.names();
        Ok(self.forks.unconflicted(event_type, state_key)?.is_none())
    }

    /// What the state has for a key.
    pub(crate) fn in_state(&mut self, key: Key<'_>) -> Result<Option<Node>, Failure<S::Id>> {
        if let Some(held) = self.held_without_numbers(key) {
            return Ok(held.event);
        }
        // Before the conflicted keys are looked at by name: mostly they never have to be.
        if self.base != Base::Cited
            && let Some(node) = self.unconflicted(key)?
        {
            return Ok(Some(node));
        }
        if place_of_kind(key.kind()).is_some() {
            return Ok(None);
        }
        let number = self.number(key);
        Ok(number.and_then(|number| self.conflicted.get(number.position()).copied().flatten()))
    }

    /// What the state has for a key when `event` is checked.
    ///
    /// > If a (event_type, state_key) key that is required for checking the authorisation rules is
    /// > not present in the state, then the appropriate state event from the event's auth_events
    /// > is used if the auth event is not rejected.
    #[inline]
    pub(crate) fn find(&mut self, event: Node, key: Key<'_>) -> Result<Option<Node>, Failure<S::Id>> {
        let place = place_of_kind(key.kind());
        match place.and_then(|place| self.fixed.get(place).copied().flatten()?.event) {
            Some(found) => Ok(Some(found)),
            None => self.look_for(event, key),
        }
    }

    fn look_for(&mut self, event: Node, key: Key<'_>) -> Result<Option<Node>, Failure<S::Id>> {
        match self.in_state(key)? {
            None if self.base != Base::Unconflicted => self.graph.cited_and_not_rejected(event, key),
            found => Ok(found),
        }
    }

    /// [`Lookup::find`] for the event's own key: members mostly speak about themselves, and the number
    /// of an event's own key is known.
    pub(crate) fn find_own(&mut self, event: Node) -> Result<Option<Node>, Failure<S::Id>> {
        let in_state = match self.held_for(event) {
            Some(held) => held.event,
            None if self.base == Base::Cited => None,
            None => match self.graph.key(event) {
                Some(key) => self.unconflicted(key)?,
                None => None,
            },
        };
        match in_state {
            None if self.base != Base::Unconflicted => self.graph.cited_on_own_key(event),
            found => Ok(found),
        }
    }

    /// The event of the unconflicted state map, remembered.
    fn unconflicted(&mut self, key: Key<'_>) -> Result<Option<Node>, Failure<S::Id>> {
        let (event_type, state_key) = key.names();
        let Some(id) = self.forks.unconflicted(event_type, state_key)? else { return Ok(None) };
        let node = self.graph.enter(id.borrow())?;
        if let Some(own) = self.graph.key(node).filter(|own| *own == key) {
            let place = place_of_kind(own.kind()).map_or(Place::Unconflicted(own), Place::Fixed);
            self.hold(place, Some(node));
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
        if let Some(place) = self.place(node) {
            self.hold(place, event);
        }
    }

    fn hold(&mut self, place: Place<'a>, event: Option<Node>) {
        match place {
            Place::Fixed(place) => {
                if let Some(held) = self.fixed.get_mut(place) {
                    let is_conflicted = held.is_some_and(|held| held.is_conflicted);
                    *held = Some(Held { is_conflicted, event });
                }
            }
            Place::Conflicted(number) => {
                if let Some(held) = self.conflicted.get_mut(number.position()) {
                    *held = event;
                }
            }
            Place::Unconflicted(key) => {
                self.unconflicted.insert(key, event);
            }
        }
    }

    /// What is held for the key of an event that was read.
    fn held_for(&mut self, node: Node) -> Option<Held> {
        match self.place(node)? {
            Place::Fixed(place) => self.fixed.get(place).copied().flatten(),
            Place::Conflicted(number) => {
                let event = self.conflicted.get(number.position()).copied().flatten();
                Some(Held { is_conflicted: true, event })
            }
            Place::Unconflicted(key) => self.held_without_numbers(key),
        }
    }

    fn held_without_numbers(&self, key: Key<'_>) -> Option<Held> {
        match place_of_kind(key.kind()) {
            Some(place) => self.fixed.get(place).copied().flatten(),
            None if self.unconflicted.is_empty() => None,
            None => self.unconflicted.get(&key).map(|event| Held { is_conflicted: false, event: *event }),
        }
    }

    /// Where the key of an event is held that was read.
    #[inline]
    fn place(&mut self, node: Node) -> Option<Place<'a>> {
        if let Some(place) = place_of_kind(self.graph.kind(node)) {
            return Some(Place::Fixed(place));
        }
        if let Some(number) = self.graph.key_number(node) {
            return Some(Place::Conflicted(number));
        }
        // An event that no fork has; its key may be a conflicted one all the same.
        let key = self.graph.key(node)?;
        let Some(number) = self.number(key) else { return Some(Place::Unconflicted(key)) };
        self.graph.set_key_number(node, number);
        Some(Place::Conflicted(number))
    }

    /// The number of a key, if it is a conflicted one.
    fn number(&mut self, key: Key<'_>) -> Option<KeyNumber> {
        let (graph, firsts) = (&self.graph, &self.firsts);
        let numbers = self.numbers.get_or_insert_with(|| {
            let numbers = firsts.iter().enumerate();
            let key = |(number, node): (usize, &Node)| Some((graph.key(*node)?, KeyNumber::new(number)));
            // Backwards: of equal keys the first counts, as where the events are numbered.
            numbers.rev().filter_map(key).collect()
        });
        numbers.get(&key).copied()
    }
}

/// The place of a key that almost every check asks for.
const fn place_of_kind(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Create => Some(0),
        Kind::PowerLevels => Some(1),
        Kind::JoinRules => Some(2),
        Kind::Member | Kind::Other | Kind::None => None,
    }
}
