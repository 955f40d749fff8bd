//! States of rooms: now, before an event, at a position; and what lies between.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_state_map::{LoadError, NodeId, NodeStore, StateMap, StoreError};
use freehold_store::tables::rooms::{CurrentStateRow, Membership, STATE_HISTORY, STATE_NODES};
use freehold_store::{EventNumber, Order, Position, RoomNumber, StateKeyNumber, TimelineIndex};

use super::{Between, Reader, StoredEvent, Unreadable};
use crate::limits::BATCH_MAX;
use crate::stripped::{STRIPPED, stripped};

/// A state of a room. Only what is asked for is read.
#[derive(Clone, Debug)]
pub struct RoomState {
    reader: Reader,
    map: StateMap,
}

/// A key on which two states differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The event type.
    pub event_type: String,
    /// The state key.
    pub state_key: String,
    /// The event in the older state.
    pub old: Option<EventNumber>,
    /// The event in the newer state.
    pub new: Option<EventNumber>,
}

impl RoomState {
    /// The event under a type and state key.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn get(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<StoredEvent>>, Unreadable> {
        match self.number(event_type, state_key).await? {
            Some(number) => self.reader.event(number).await.map(Some),
            None => Ok(None),
        }
    }

    /// The number of the event under a type and state key.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn number(&self, event_type: &str, state_key: &str) -> Result<Option<EventNumber>, Unreadable> {
        match self.reader.key_number(event_type, state_key).await? {
            Some(key) => self.number_at(key).await,
            None => Ok(None),
        }
    }

    /// The number of the event under the number of a type and state key.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn number_at(&self, key: StateKeyNumber) -> Result<Option<EventNumber>, Unreadable> {
        let entry = self.reader.with_nodes(|nodes| self.map.get(key.0, nodes)).await?;
        Ok(entry.map(|entry| EventNumber(entry.event)))
    }

    /// The numbers of all events, by the numbers of their types and state keys.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn numbers(&self) -> Result<Vec<(StateKeyNumber, EventNumber)>, Unreadable> {
        // One after the other, each node that is missing would have the whole gone through again.
        let held = self.reader.all_nodes(&self.map).await?;
        let entries: Vec<_> = self.map.iter(&held).collect::<Result<_, _>>().map_err(unreadable)?;
        Ok(entries.into_iter().map(|(key, entry)| (StateKeyNumber(key), EventNumber(entry.event))).collect())
    }

    /// All events.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn events(&self) -> Result<Vec<Arc<StoredEvent>>, Unreadable> {
        let numbers: Vec<EventNumber> = self.numbers().await?.into_iter().map(|(_, event)| event).collect();
        self.reader.events(&numbers).await
    }

    /// The membership events.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn members(&self) -> Result<Vec<Arc<StoredEvent>>, Unreadable> {
        self.reader.events(&self.member_numbers().await?).await
    }

    /// Has the membership events looked at that say `membership`, in the order in which they came here and some at a time: all of a
    /// large room would take much memory.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn each_member(
        &self,
        membership: Membership,
        mut look: impl FnMut(&StoredEvent),
    ) -> Result<(), Unreadable> {
        let mut numbers = self.member_numbers().await?;
        // Those that came together are read together.
        numbers.sort_unstable();
        for page in numbers.chunks(BATCH_MAX) {
            let events = self.reader.events(page).await?;
            events
                .iter()
                .filter(|event| event.row.membership == Some(membership))
                .for_each(|event| look(event));
        }
        Ok(())
    }

    async fn member_numbers(&self) -> Result<Vec<EventNumber>, Unreadable> {
        let entries = self.numbers().await?;
        let keys: Vec<StateKeyNumber> = entries.iter().map(|(key, _)| *key).collect();
        let keys = self.reader.state_keys(&keys).await?;
        let members = entries.iter().zip(keys).filter(|(_, key)| key.0 == "m.room.member");
        Ok(members.map(|((_, event), _)| *event).collect())
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// What changes from this state to a newer one of the same room.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn changes_to(&self, newer: &RoomState) -> Result<Vec<StateChange>, Unreadable> {
        let changes = self.reader.with_nodes(|nodes| self.map.diff(&newer.map, nodes)).await?;
        let keys: Vec<StateKeyNumber> = changes.iter().map(|change| StateKeyNumber(change.key)).collect();
        let keys = self.reader.state_keys(&keys).await?;
        let named = changes.into_iter().zip(keys).map(|(change, key)| StateChange {
            event_type: key.0.clone(),
            state_key: key.1.clone(),
            old: change.old.map(|entry| EventNumber(entry.event)),
            new: change.new.map(|entry| EventNumber(entry.event)),
        });
        Ok(named.collect())
    }

    /// What somebody learns of the room before joining it, as JSON texts
    /// (<https://spec.matrix.org/v1.19/client-server-api/#stripped-state>).
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn stripped(&self) -> Result<Vec<String>, Unreadable> {
        let mut events = Vec::with_capacity(STRIPPED.len());
        for event_type in STRIPPED {
            events.extend(self.get(event_type, "").await?.map(|event| stripped(&event.pdu)));
        }
        Ok(events)
    }
}

impl Reader {
    /// The newest state of a room; empty when the room is not known.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn current_state(&self, room: RoomNumber) -> Result<RoomState, Unreadable> {
        self.state_of(self.current(room).await?.as_ref()).await
    }

    /// The newest state of a room whose row was read already; empty when there is none.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn state_of(&self, current: Option<&CurrentStateRow>) -> Result<RoomState, Unreadable> {
        self.state(current.map(|row| row.state)).await
    }

    /// The state of a room as it was at a position; empty before the room was known.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn state_at(&self, room: RoomNumber, position: Position) -> Result<RoomState, Unreadable> {
        if position == Position::default() {
            return self.state(None).await;
        }
        if position >= self.position() {
            return self.current_state(room).await;
        }
        let end = Position(position.0.saturating_add(1));
        let range = (&(room,), &(room, end));
        let rows = self.snapshot.scan_range(&STATE_HISTORY, range, Order::Descending, 1).await?;
        self.state(rows.into_iter().next().map(|(_, root)| root)).await
    }

    /// The last state of a room that somebody may see who was in it until an index: the one after the last event that
    /// clients are shown up to there.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn state_until(&self, room: RoomNumber, until: TimelineIndex) -> Result<RoomState, Unreadable> {
        let upto = Between::before(TimelineIndex(until.0.saturating_add(1)));
        let last = self.timeline(room, upto, Order::Descending, 1).await?;
        match last.first() {
            Some((_, event)) => self.state_after(&*self.event(*event).await?).await,
            None => self.state(None).await,
        }
    }

    /// The room state before an event; empty for an outlier.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn state_before(&self, event: &StoredEvent) -> Result<RoomState, Unreadable> {
        self.state(event.row.state_before).await
    }

    /// The room state after an event.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn state_after(&self, event: &StoredEvent) -> Result<RoomState, Unreadable> {
        let mut state = self.state_before(event).await?;
        if let Some(key) = event.row.state_key.filter(|_| event.is_accepted()) {
            let entry = freehold_state_map::Entry { event: event.number.0, generation: event.row.generation };
            let map = state.map.clone();
            let after = self.with_nodes(|nodes| {
                let mut map = map.clone();
                map.insert(key.0, entry, nodes).map(|_| map)
            });
            state.map = after.await?;
        }
        Ok(state)
    }

    /// What changed in the state of a room after one position and up to another.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn state_changes(
        &self,
        room: RoomNumber,
        (from, to): (Position, Position),
    ) -> Result<Vec<StateChange>, Unreadable> {
        self.state_at(room, from).await?.changes_to(&self.state_at(room, to).await?).await
    }

    async fn state(&self, root: Option<[u8; NodeId::LEN]>) -> Result<RoomState, Unreadable> {
        let reader = self.clone();
        let Some(root) = root.map(NodeId::from_bytes) else {
            return Ok(RoomState { reader, map: StateMap::new() });
        };
        if let Some(map) = self.caches().states.get(&root) {
            return Ok(RoomState { reader, map });
        }
        let map = self.with_nodes(|nodes| StateMap::open(root, nodes)).await?;
        // What is read of the map later stays in it: all of it may be.
        self.keep_state(root, &map);
        Ok(RoomState { reader, map })
    }

    fn keep_state(&self, root: NodeId, map: &StateMap) {
        let bytes = STATE_BYTES.saturating_add(map.len().saturating_mul(ENTRY_BYTES));
        self.caches().states.put(root, map.clone(), bytes);
    }

    /// Has the states before some events of a room at hand without reading each of them. The state before an event is
    /// often the one before its predecessor in the timeline with what that one set; its name says whether it is.
    pub(super) async fn derive_states(&self, events: &[Arc<StoredEvent>]) -> Result<(), Unreadable> {
        let mut in_order: Vec<&Arc<StoredEvent>> = events.iter().collect();
        in_order.sort_unstable_by_key(|event| event.row.timeline);
        for (before, event) in in_order.iter().zip(in_order.iter().skip(1)) {
            let Some(root) = event.row.state_before.map(NodeId::from_bytes) else { continue };
            if before.row.state_key.is_none() || self.caches().states.get(&root).is_some() {
                continue;
            }
            let after = self.state_after(before).await?;
            if after.map.root_id() == root {
                self.keep_state(root, &after.map);
            }
        }
        Ok(())
    }

    /// The number of a type and state key, if it has one; it never gets another.
    pub(crate) async fn key_number(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StateKeyNumber>, Unreadable> {
        let key = (event_type.to_owned(), state_key.to_owned());
        if let Some(number) = self.caches().key_numbers.get(&key) {
            return Ok(Some(number));
        }
        let number = self.snapshot.number_of(&key).await?;
        if let Some(number) = number {
            let bytes = key.0.len() + key.1.len() + KEY_BYTES;
            self.caches().key_numbers.put(key, number, bytes);
        }
        Ok(number)
    }

    /// The types and state keys that numbers stand for, in their order.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn state_keys(
        &self,
        numbers: &[StateKeyNumber],
    ) -> Result<Vec<Arc<(String, String)>>, Unreadable> {
        let cache = &self.caches().state_keys;
        let mut found: Vec<Option<Arc<(String, String)>>> =
            numbers.iter().map(|number| cache.get(number)).collect();
        let missing: Vec<StateKeyNumber> =
            numbers.iter().zip(&found).filter(|(_, key)| key.is_none()).map(|(number, _)| *number).collect();
        let mut read = missing.iter().zip(self.snapshot.ids_of(&missing).await?);
        for place in found.iter_mut().filter(|key| key.is_none()) {
            let Some((number, key)) = read.next() else { break };
            let bytes = key.0.len() + key.1.len() + KEY_BYTES;
            let key = Arc::new(key);
            cache.put(*number, Arc::clone(&key), bytes);
            *place = Some(key);
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Does something with state maps, reading their nodes as they are needed.
    async fn with_nodes<T>(&self, act: impl Fn(&Held) -> Result<T, LoadError>) -> Result<T, Unreadable> {
        let mut held = Held(BTreeMap::new());
        loop {
            match act(&held) {
                Ok(done) => return Ok(done),
                Err(LoadError::Missing { id }) if !held.0.contains_key(&id) => {
                    let bytes = self.snapshot.get(&STATE_NODES, id.as_bytes()).await?;
                    let bytes = bytes.ok_or_else(|| Unreadable::damaged("a node of a state is missing"))?;
                    held.0.insert(id, bytes);
                }
                Err(error) => return Err(unreadable(error)),
            }
        }
    }

    /// Reads the nodes of a state map that are not in memory, level by level.
    async fn all_nodes(&self, map: &StateMap) -> Result<Held, Unreadable> {
        let mut held = Held(BTreeMap::new());
        loop {
            let missing = map.missing(&held).map_err(unreadable)?;
            if missing.is_empty() {
                return Ok(held);
            }
            let keys: Vec<_> = missing.iter().map(|id| *id.as_bytes()).collect();
            let rows = self.snapshot.get_many(&STATE_NODES, &keys).await?;
            for (id, bytes) in missing.into_iter().zip(rows) {
                let bytes = bytes.ok_or_else(|| Unreadable::damaged("a node of a state is missing"))?;
                held.0.insert(id, bytes);
            }
        }
    }
}

fn unreadable(error: LoadError) -> Unreadable {
    Unreadable::Damaged(Box::new(error))
}

/// What a type and state key take beside their texts.
const KEY_BYTES: usize = 96;
/// What a state takes beside its entries.
const STATE_BYTES: usize = 1024;
/// What an entry of a state takes in memory, with its part of the nodes above it.
pub(crate) const ENTRY_BYTES: usize = 40;

/// Nodes that were read.
struct Held(BTreeMap<NodeId, Vec<u8>>);

impl NodeStore for Held {
    fn get(&self, id: &NodeId) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        Ok(self.0.get(id).map(|bytes| Cow::Borrowed(bytes.as_slice())))
    }

    fn put(&mut self, id: NodeId, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.insert(id, bytes.to_vec());
        Ok(())
    }
}
