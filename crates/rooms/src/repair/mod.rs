//! Rooms that are broken, put right from their events.
//!
//! Everything is done on an [`Overlay`] first: what is lost is put back as other servers have it, every verdict and every
//! state is computed anew from the events, oldest first, then the forward extremities, the current state, the timeline and the
//! members. What comes of it is looked at with the eyes of `freehold fsck`, and only then committed, in one batch. What is not
//! known for sure stays as it is: no event is ever removed, and nothing is believed but what is verified.

mod current;
mod events;
mod heads;
mod lost;
mod members;
mod picture;
mod timeline;

pub use picture::{EventCounts, Hole, RoomPicture};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_event::{Pdu, RoomVersion};
use freehold_room::{Event, Shelf, Stop};
use freehold_signing::KeySource;
use freehold_state_map::{NodeId, StateMap};
use freehold_store::tables::identity::EVENT_IDS;
use freehold_store::tables::rooms::{
    CURRENT_STATE, CurrentStateRow, EVENTS, EventRow, ROOMS, RoomRow, STATE_NODES,
};
use freehold_store::{Batch, EventNumber, Overlay, RoomNumber, Snapshot, TimelineIndex};
use ruma_common::{OwnedEventId, OwnedRoomId, RoomId};

use crate::check::{Checking, PAGE, RoomFinding};
use crate::error::ActionError;
use crate::loaded::{fulfil, read_event, version_of};
use crate::rooms::Rooms;

/// What other servers gave for a repair; nothing of it is believed before it is verified.
#[derive(Clone, Copy)]
pub struct Fetched<'a> {
    /// Events in federation format.
    pub events: &'a [String],
    /// The keys of those who signed them.
    pub keys: &'a (dyn KeySource + Sync),
}

/// What a repair changes, and what it cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairPlan {
    /// What is put right, in order.
    pub steps: Vec<RepairNote>,
    /// Events that are lost here: with them, more can be put right.
    pub wanted: Vec<OwnedEventId>,
    /// What stays wrong.
    pub left: Vec<RepairNote>,
}

/// Something that a repair changes, or cannot change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairNote {
    /// The table whose row is wrong.
    pub table: &'static str,
    /// The event, if it is about one.
    pub event: Option<OwnedEventId>,
    /// What is wrong, or what is done about it.
    pub what: String,
}

impl Rooms {
    /// What a repair of a room would change, with what other servers gave. Nothing is changed.
    ///
    /// # Errors
    /// [`ActionError::UnknownRoom`], and those of the store.
    pub async fn plan_repair(
        &self,
        room_id: &RoomId,
        fetched: Fetched<'_>,
    ) -> Result<RepairPlan, ActionError> {
        let snapshot = self.0.store.snapshot()?;
        Ok(Mending::of(self, &snapshot, room_id, fetched).await?.plan)
    }

    /// Repairs a room, with what other servers gave. Nobody else writes to the room meanwhile. `also` adds to the batch, which
    /// there is only if something is changed.
    ///
    /// # Errors
    /// [`ActionError::UnknownRoom`], and those of the store: nothing was changed.
    pub async fn repair(
        &self,
        room_id: &RoomId,
        fetched: Fetched<'_>,
        also: impl FnOnce(&mut Batch) + Send,
    ) -> Result<RepairPlan, ActionError> {
        let unknown = || ActionError::UnknownRoom(room_id.to_owned());
        let number = self.0.store.snapshot()?.number_of(&room_id.to_owned()).await?.ok_or_else(unknown)?;
        let mut guard = self.cell(number).lock_owned().await;
        let snapshot = self.0.store.snapshot()?;
        let mending = Mending::of(self, &snapshot, room_id, fetched).await?;
        if mending.overlay.is_empty() {
            return Ok(mending.plan);
        }
        // The next writer reads the room anew.
        *guard = None;
        self.note_bytes(number, 0);
        mending.commit(also).await
    }
}

/// A repair under way.
struct Mending {
    rooms: Rooms,
    overlay: Overlay,
    /// What would be.
    view: Snapshot,
    number: RoomNumber,
    room_id: OwnedRoomId,
    row: RoomRow,
    version: &'static RoomVersion,
    current: CurrentStateRow,
    /// The same as it was.
    stored: CurrentStateRow,
    /// The rows of the events of the room, as they are now.
    events: BTreeMap<EventNumber, EventRow>,
    /// Of the events that follow some which were not here when they came: all that they follow and that are here now.
    follows: BTreeMap<EventNumber, Vec<EventNumber>>,
    /// The places in the timeline that were there before.
    places: BTreeMap<TimelineIndex, EventNumber>,
    /// Events that are lost and not back.
    lost: BTreeSet<EventNumber>,
    /// Events whose rows were lost and are back.
    put_back: BTreeSet<EventNumber>,
    /// Events that nothing but the current state speaks for.
    released: Vec<EventNumber>,
    /// Events that clients are shown from now on.
    shown: Vec<EventNumber>,
    changed: BTreeSet<EventNumber>,
    nodes: BTreeSet<NodeId>,
    shelf: Shelf,
    /// Whether nodes of states are lost, so that all states are made anew.
    rebuild: bool,
    plan: RepairPlan,
}

/// Over how many events a shelf is cleared; what is needed comes back by itself.
const SHELF_MAX: usize = 20_000;

impl Mending {
    async fn of(
        rooms: &Rooms,
        snapshot: &Snapshot,
        room_id: &RoomId,
        fetched: Fetched<'_>,
    ) -> Result<Self, ActionError> {
        let unknown = || ActionError::UnknownRoom(room_id.to_owned());
        let number = snapshot.number_of(&room_id.to_owned()).await?.ok_or_else(unknown)?;
        let row = snapshot.get(&ROOMS, &number).await?.ok_or_else(unknown)?;
        let current = snapshot.get(&CURRENT_STATE, &number).await?;
        let current = current.unwrap_or_else(nothing);
        let overlay = Overlay::over(snapshot);
        let mut mending = Mending {
            rooms: rooms.clone(),
            view: overlay.snapshot(),
            overlay,
            number,
            room_id: room_id.to_owned(),
            version: version_of(&row.version)?,
            row,
            stored: current.clone(),
            current,
            events: BTreeMap::new(),
            follows: BTreeMap::new(),
            places: BTreeMap::new(),
            lost: BTreeSet::new(),
            put_back: BTreeSet::new(),
            released: Vec::new(),
            shown: Vec::new(),
            changed: BTreeSet::new(),
            nodes: BTreeSet::new(),
            shelf: Shelf::new(),
            rebuild: false,
            plan: RepairPlan::default(),
        };
        mending.mend(fetched).await?;
        Ok(mending)
    }

    async fn mend(&mut self, fetched: Fetched<'_>) -> Result<(), ActionError> {
        self.read(fetched).await?;
        self.mend_events().await?;
        self.mend_heads();
        self.mend_current_state().await?;
        if self.release().await? {
            self.mend_heads();
            self.mend_current_state().await?;
        }
        self.note_heads().await?;
        self.note_current_state().await?;
        self.mend_timeline().await?;
        self.mend_members().await?;
        self.write_current().await?;
        self.look_again().await
    }

    /// Looks at the result as `freehold fsck` does.
    async fn look_again(&mut self) -> Result<(), ActionError> {
        let view = self.view.clone();
        let mut check = Checking::of(&view).await?;
        let rows: Vec<(EventNumber, EventRow)> =
            self.events.iter().map(|(number, row)| (*number, row.clone())).collect();
        for page in rows.chunks(PAGE) {
            check.events(page).await?;
        }
        check.room(self.number, &self.row).await?;
        for finding in check.take_findings() {
            let RoomFinding { table, event, fault, .. } = finding;
            let event = self.id_of(event).await?;
            self.plan.left.push(RepairNote { table, event, what: fault.to_string() });
        }
        Ok(())
    }

    async fn commit(self, also: impl FnOnce(&mut Batch) + Send) -> Result<RepairPlan, ActionError> {
        let mut batch = self.overlay.into_batch().await?;
        also(&mut batch);
        batch.touch(self.number);
        let reader = self.rooms.reader()?;
        for user in reader.local_joined(self.number).await? {
            batch.wake(user);
        }
        let changed: Vec<EventNumber> = self.changed.into_iter().collect();
        let rooms = self.rooms.clone();
        batch.once_durable(move |position| rooms.0.caches.changed(position, &changed));
        let _writing = self.rooms.0.node_writes.begin(self.nodes).await;
        self.rooms.0.store.commit(batch).await?;
        Ok(self.plan)
    }

    /// Notes a change.
    async fn step(
        &mut self,
        table: &'static str,
        event: Option<EventNumber>,
        what: impl Into<String>,
    ) -> Result<(), ActionError> {
        let event = self.id_of(event).await?;
        self.plan.steps.push(RepairNote { table, event, what: what.into() });
        Ok(())
    }

    async fn id_of(&self, event: Option<EventNumber>) -> Result<Option<OwnedEventId>, ActionError> {
        match event {
            Some(event) => Ok(self.view.get(&EVENT_IDS, &event).await?),
            None => Ok(None),
        }
    }

    /// Changes the row of an event.
    fn put_row(&mut self, number: EventNumber, row: EventRow) {
        self.overlay.write(|writes| writes.put(&EVENTS, &number, &row));
        self.events.insert(number, row);
        self.changed.insert(number);
    }

    /// An event of the room as it is now; `None` without its text.
    async fn event(&mut self, number: EventNumber) -> Result<Option<Arc<Event>>, ActionError> {
        let Ok(Some(event)) = read_event(&self.view, self.version, number).await else { return Ok(None) };
        let event = Arc::new(event);
        if self.shelf.events_len() > SHELF_MAX && !self.rebuild {
            self.shelf = Shelf::new();
        }
        self.shelf.put_event(Arc::clone(&event));
        Ok(Some(event))
    }

    /// What comes of a computation, once all it needs is at hand; `None` when that cannot be had.
    async fn computed<T>(
        &mut self,
        compute: impl Fn(&Shelf) -> Result<T, Stop> + Send,
    ) -> Result<Option<T>, ActionError> {
        loop {
            let stop = match compute(&self.shelf) {
                Ok(done) => return Ok(Some(done)),
                Err(stop) => stop,
            };
            match fulfil(&self.view, self.version, &mut self.shelf, stop).await {
                Ok(()) => {}
                Err(ActionError::Read(error)) => return Err(error.into()),
                Err(_) => return Ok(None),
            }
        }
    }

    /// Writes the nodes of a state that another one, which is there, does not have.
    async fn save(&mut self, state: &StateMap, base: &StateMap) -> Result<bool, ActionError> {
        let made = self.computed(|shelf| freehold_room::nodes_beside(state, base, shelf)).await?;
        let Some(made) = made else { return Ok(false) };
        let ids: Vec<[u8; NodeId::LEN]> = made.iter().map(|(id, _)| *id.as_bytes()).collect();
        let there = self.view.get_many(&STATE_NODES, &ids).await?;
        for ((id, bytes), there) in made.into_iter().zip(there) {
            if there.as_ref() != Some(&bytes) {
                self.overlay.write(|writes| writes.put(&STATE_NODES, id.as_bytes(), &bytes));
                self.nodes.insert(id);
            }
            self.shelf.put_node(id, bytes);
        }
        Ok(true)
    }

    /// Whether an event stands in the graph, with a state before it.
    fn has_state(&self, number: EventNumber) -> bool {
        self.events.get(&number).is_some_and(|row| row.state_before.is_some())
    }

    /// The events that an event follows and that are here.
    fn followed_by(&self, number: EventNumber) -> &[EventNumber] {
        let row = || self.events.get(&number).map(|row| row.prev_events.as_slice());
        self.follows.get(&number).map(Vec::as_slice).or_else(row).unwrap_or_default()
    }
}

/// The row of a room of which nothing is known.
fn nothing() -> CurrentStateRow {
    CurrentStateRow {
        state: *StateMap::new().root_id().as_bytes(),
        forward_extremities: Vec::new(),
        joined: 0,
        invited: 0,
        last: TimelineIndex(0),
    }
}

/// Whether a text is what is left of an event that was redacted.
fn is_redacted(pdu: &Pdu) -> bool {
    pdu.claimed_content_hash() != Some(pdu.content_hash())
}
