//! The pieces of a room that are at hand.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_event::{EventSource, EventView};
use freehold_state_map::{Entry, LoadError, NodeId, NodeStore, StateMap, StoreError};
use freehold_state_res::{ResolveBudget, ResolveError};
use ruma_common::{EventId, OwnedEventId};

use crate::event::Event;
use crate::resolve::BUDGET;

/// The pieces of a room that are at hand: what was read from the store so far.
///
/// The machine asks the shelf and nothing else. What is not on it comes back as [`Stop::Needs`]; the caller
/// puts it there and asks again. Nothing is decided on half of the pieces.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    events: BTreeMap<u64, Arc<Event>>,
    numbers: BTreeMap<OwnedEventId, Option<u64>>,
    state_keys: BTreeMap<String, BTreeMap<String, Option<u64>>>,
    nodes: BTreeMap<NodeId, Vec<u8>>,
    allowed: Allowed,
}

/// The most work that the resolution of forks may take.
#[derive(Clone, Copy, Debug)]
struct Allowed(ResolveBudget);

impl Default for Allowed {
    fn default() -> Self {
        Allowed(BUDGET)
    }
}

/// Pieces that are not on the shelf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Events, by number.
    pub events: BTreeSet<u64>,
    /// Numbers of events.
    pub event_ids: BTreeSet<OwnedEventId>,
    /// Numbers of (event type, state key) pairs.
    pub state_keys: BTreeSet<(String, String)>,
    /// Nodes of state maps.
    pub nodes: BTreeSet<NodeId>,
}

/// Why the machine could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Pieces are missing on the shelf; put them there and ask again.
    #[error("pieces of the room are not on the shelf")]
    Needs(Box<Needs>),
    /// A state map is damaged; the store is at fault.
    #[error("a state of the room cannot be read")]
    State(#[source] LoadError),
    /// Forks cannot be resolved within the budget, or their events contradict each other.
    #[error("the forks of the room cannot be resolved")]
    Resolve(#[source] Box<ResolveError<u64>>),
}

impl Needs {
    fn stop(self) -> Stop {
        Stop::Needs(Box::new(self))
    }

    /// Events by number.
    pub(crate) fn events(events: impl IntoIterator<Item = u64>) -> Stop {
        Needs { events: events.into_iter().collect(), ..Needs::default() }.stop()
    }

    /// Numbers of (event type, state key) pairs.
    pub(crate) fn state_keys(keys: BTreeSet<(String, String)>) -> Stop {
        Needs { state_keys: keys, ..Needs::default() }.stop()
    }
}

impl From<LoadError> for Stop {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Missing { id } => Needs { nodes: BTreeSet::from([id]), ..Needs::default() }.stop(),
            error => Stop::State(error),
        }
    }
}

impl From<ResolveError<u64>> for Stop {
    fn from(error: ResolveError<u64>) -> Self {
        match error {
            ResolveError::MissingEvents { events } => Needs::events(events),
            ResolveError::Snapshot(error) => error.into(),
            error => Stop::Resolve(Box::new(error)),
        }
    }
}

impl Shelf {
    /// An empty shelf.
    pub fn new() -> Self {
        Shelf::default()
    }

    /// Sets the most work that the resolution of forks may take. Beyond it, nothing is decided: [`Stop::Resolve`].
    pub fn allow(&mut self, budget: ResolveBudget) {
        self.allowed = Allowed(budget);
    }

    pub(crate) fn allowed(&self) -> &ResolveBudget {
        &self.allowed.0
    }

    /// Puts an event on the shelf, and its number.
    pub fn put_event(&mut self, event: Arc<Event>) {
        self.numbers.insert(event.pdu.event_id().to_owned(), Some(event.number));
        self.events.insert(event.number, event);
    }

    /// Puts the number of an event on the shelf; `None` when the event is not known at all.
    pub fn put_number(&mut self, event_id: OwnedEventId, number: Option<u64>) {
        self.numbers.insert(event_id, number);
    }

    /// Puts the number of a (type, state key) pair on the shelf; `None` when it has none.
    pub fn put_state_key(&mut self, (event_type, state_key): (String, String), number: Option<u64>) {
        self.state_keys.entry(event_type).or_default().insert(state_key, number);
    }

    /// Puts a node of a state map on the shelf.
    pub fn put_node(&mut self, id: NodeId, bytes: Vec<u8>) {
        self.nodes.insert(id, bytes);
    }

    /// Takes off the shelf what the next event of the room is unlikely to need: nodes (maps that read them hold them), and
    /// messages but the forward extremities `heads`, with their numbers.
    pub fn tidy(&mut self, heads: &[u64]) {
        self.nodes.clear();
        self.events.retain(|number, event| event.pdu.state_key().is_some() || heads.contains(number));
        let events = &self.events;
        let is_kept = |number: &u64| events.contains_key(number) || heads.contains(number);
        self.numbers.retain(|_, number| number.as_ref().is_some_and(is_kept));
    }

    /// How many events lie on it.
    pub fn events_len(&self) -> usize {
        self.events.len()
    }

    /// An event by its number.
    ///
    /// # Errors
    /// [`Stop::Needs`].
    pub fn event(&self, number: u64) -> Result<&Arc<Event>, Stop> {
        self.events.get(&number).ok_or_else(|| Needs::events([number]))
    }

    /// Several events, in the order of their numbers given.
    ///
    /// # Errors
    /// [`Stop::Needs`], naming all that are missing.
    pub fn events(&self, numbers: &[u64]) -> Result<Vec<&Arc<Event>>, Stop> {
        let mut found = Vec::with_capacity(numbers.len());
        for number in numbers {
            match self.events.get(number) {
                Some(event) => found.push(event),
                None => {
                    let is_missing = |number: &u64| !self.events.contains_key(number);
                    return Err(Needs::events(numbers.iter().copied().filter(is_missing)));
                }
            }
        }
        Ok(found)
    }

    /// The numbers of events; `None` for one that is not known at all.
    ///
    /// # Errors
    /// [`Stop::Needs`], naming all that are missing.
    pub fn numbers(&self, event_ids: &[OwnedEventId]) -> Result<Vec<Option<u64>>, Stop> {
        let mut numbers = Vec::with_capacity(event_ids.len());
        for event_id in event_ids {
            match self.numbers.get::<EventId>(event_id) {
                Some(number) => numbers.push(*number),
                None => {
                    let is_missing = |id: &&OwnedEventId| !self.numbers.contains_key::<EventId>(id);
                    let event_ids = event_ids.iter().filter(is_missing).cloned().collect();
                    return Err(Needs { event_ids, ..Needs::default() }.stop());
                }
            }
        }
        Ok(numbers)
    }

    /// The number of a (type, state key) pair, `None` if it has none.
    ///
    /// # Errors
    /// [`Stop::Needs`].
    pub fn state_key(&self, event_type: &str, state_key: &str) -> Result<Option<u64>, Stop> {
        self.known_state_key(event_type, state_key)
            .ok_or_else(|| Needs::state_keys(BTreeSet::from([(event_type.to_owned(), state_key.to_owned())])))
    }

    fn known_state_key(&self, event_type: &str, state_key: &str) -> Option<Option<u64>> {
        self.state_keys.get(event_type)?.get(state_key).copied()
    }

    /// What a state holds under a type and state key.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn entry(&self, state: &StateMap, event_type: &str, state_key: &str) -> Result<Option<Entry>, Stop> {
        match self.state_key(event_type, state_key)? {
            Some(key) => Ok(state.get(key, &self.nodes())?),
            None => Ok(None),
        }
    }

    /// The event that a state holds under a type and state key.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn event_in(
        &self,
        state: &StateMap,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<&Arc<Event>>, Stop> {
        match self.entry(state, event_type, state_key)? {
            Some(entry) => self.event(entry.event).map(Some),
            None => Ok(None),
        }
    }

    /// The state map with this root.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn open(&self, root: NodeId) -> Result<StateMap, Stop> {
        Ok(StateMap::open(root, &self.nodes())?)
    }

    /// The nodes on the shelf, to read state maps with.
    pub fn nodes(&self) -> Nodes<'_> {
        Nodes { held: &self.nodes, made: Vec::new() }
    }
}

impl EventSource for Shelf {
    type Id = u64;

    fn event(&self, id: &u64) -> Option<EventView<'_, u64>> {
        self.events.get(id).map(|event| event.view())
    }

    fn generation(&self, id: &u64) -> Option<u64> {
        self.events.get(id).map(|event| event.generation)
    }
}

/// Nodes of state maps: those on a shelf, and those made since.
#[derive(Clone, Debug)]
pub struct Nodes<'a> {
    held: &'a BTreeMap<NodeId, Vec<u8>>,
    made: Vec<(NodeId, Vec<u8>)>,
}

impl Nodes<'static> {
    /// No nodes.
    pub(crate) fn none() -> Self {
        static NONE: BTreeMap<NodeId, Vec<u8>> = BTreeMap::new();
        Nodes { held: &NONE, made: Vec::new() }
    }
}

impl Nodes<'_> {
    /// The nodes made since, which the store does not have yet.
    pub fn into_made(self) -> Vec<(NodeId, Vec<u8>)> {
        self.made
    }
}

impl NodeStore for Nodes<'_> {
    fn get(&self, id: &NodeId) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        Ok(self.held.get(id).map(|bytes| Cow::Borrowed(bytes.as_slice())))
    }

    fn put(&mut self, id: NodeId, bytes: &[u8]) -> Result<(), StoreError> {
        self.made.push((id, bytes.to_vec()));
        Ok(())
    }
}

/// The numbers of state keys on a shelf, as state resolution asks for them; notes those that are not there.
pub(crate) struct AskedKeys<'a> {
    shelf: &'a Shelf,
    missing: RefCell<BTreeSet<(String, String)>>,
}

impl<'a> AskedKeys<'a> {
    pub(crate) fn new(shelf: &'a Shelf) -> Self {
        AskedKeys { shelf, missing: RefCell::default() }
    }

    pub(crate) fn number(&self, event_type: &str, state_key: &str) -> Option<u64> {
        let known = self.shelf.known_state_key(event_type, state_key);
        if known.is_none() {
            self.missing.borrow_mut().insert((event_type.to_owned(), state_key.to_owned()));
        }
        known.flatten()
    }

    /// # Errors
    /// [`Stop::Needs`] when a key was asked for that is not on the shelf.
    pub(crate) fn complete(&self) -> Result<(), Stop> {
        let missing = self.missing.take();
        if missing.is_empty() { Ok(()) } else { Err(Needs::state_keys(missing)) }
    }
}
