//! How a change of a room becomes durable, and the room in memory what it is then.

use freehold_room::{Room, Shelf};
use freehold_state_map::NodeId;
use freehold_store::tables::rooms::FORGOTTEN;
use freehold_store::{Batch, EventNumber, Position, RoomNumber};

use crate::error::ActionError;
use crate::loaded::{Loaded, Locals};
use crate::rooms::{Cell, Rooms};
use crate::work::{WhenDurable, Work};
use crate::write::RowAt;

impl Work {
    /// Makes the change durable.
    ///
    /// # Errors
    /// [`ActionError::Commit`]; nothing has changed.
    pub(crate) async fn commit(self) -> Result<(), ActionError> {
        let (written, batch) = self.written().await?;
        let (rooms, store) = (written.rooms.clone(), written.rooms.0.store.clone());
        let _writing = rooms.0.node_writes.begin(written.nodes.iter().copied()).await;
        let done = store.commit(batch).await;
        written.finish(done.as_ref().ok());
        Ok(done.map(|_| ())?)
    }

    /// Makes this change and that of another room durable, together or not at all.
    ///
    /// # Errors
    /// [`ActionError::Commit`]; nothing has changed.
    pub(crate) async fn commit_with(self, other: Work) -> Result<(), ActionError> {
        let (written, mut batch) = self.written().await?;
        let (other, others) = other.written().await?;
        batch.append(others);
        let (rooms, store) = (written.rooms.clone(), written.rooms.0.store.clone());
        // One turn for both: whoever waits to be alone lets nobody have a second one.
        let nodes = written.nodes.iter().chain(&other.nodes).copied();
        let _writing = rooms.0.node_writes.begin(nodes).await;
        let done = store.commit(batch).await;
        written.finish(done.as_ref().ok());
        other.finish(done.as_ref().ok());
        Ok(done.map(|_| ())?)
    }

    /// The change as a batch. The snapshot that it was made from is no longer held.
    async fn written(mut self) -> Result<(Written, Batch), ActionError> {
        let row = self.write().await?;
        let nodes = self.staged.iter().flat_map(|receipt| receipt.nodes.iter().map(|(id, _)| *id));
        let nodes: Vec<NodeId> = nodes.chain(std::mem::take(&mut self.beside.nodes)).collect();
        // If nobody waits for the commit to its end, the next writer reads the room anew.
        *self.guard = None;
        let mut changed: Vec<EventNumber> = self.beside.redacted.iter().map(|(event, _)| *event).collect();
        let is_redaction = !changed.is_empty() || !self.beside.redacted_on_arrival.is_empty();
        changed.extend(&self.beside.settled);
        // They came anew, and whole.
        self.beside.settled.iter().for_each(|event| self.batch.delete(&FORGOTTEN, event));
        changed.extend(&self.beside.shown_now);
        changed.extend(&self.beside.restated);
        if !changed.is_empty() {
            // Also when nobody waits for the answer any more.
            let rooms = self.rooms.clone();
            self.batch.once_durable(move |position| rooms.0.caches.changed(position, &changed));
        }
        let written = Written {
            rooms: self.rooms,
            number: self.number,
            machine: self.machine,
            shelf: self.shelf,
            locals: self.locals,
            foreign_servers: self.foreign_servers,
            is_partial: self.is_partial,
            is_lacking: self.is_lacking,
            row,
            is_redaction,
            when_durable: self.when_durable,
            guard: self.guard,
            new_cell: self.new_cell,
            nodes,
        };
        Ok((written, self.batch))
    }
}

/// A change that is on its way to the store.
struct Written {
    rooms: Rooms,
    number: RoomNumber,
    machine: Room,
    shelf: Shelf,
    locals: Locals,
    foreign_servers: u64,
    is_partial: bool,
    is_lacking: bool,
    row: RowAt,
    is_redaction: bool,
    when_durable: Option<WhenDurable>,
    guard: tokio::sync::OwnedMutexGuard<Option<Loaded>>,
    new_cell: Option<Cell>,
    /// The nodes of states in the batch.
    nodes: Vec<NodeId>,
}

impl Written {
    /// Puts the room as it is now where the next writer finds it. Without a position the change had no effect, because
    /// the room changed under us: the next writer reads it anew.
    fn finish(mut self, position: Option<&Position>) {
        let Some(position) = position else {
            return;
        };
        // What lies on it may be redacted by now; of a new room, nothing may be wanted for long.
        if self.is_redaction || self.new_cell.is_some() {
            self.shelf = Shelf::new();
        }
        let row = (self.row)(*position);
        let Written { machine, shelf, locals, foreign_servers, is_partial, is_lacking, .. } = self;
        let mut loaded = Loaded { machine, shelf, row, locals, foreign_servers, is_partial, is_lacking };
        loaded.trim();
        let bytes = loaded.bytes();
        *self.guard = Some(loaded);
        if let Some(cell) = self.new_cell {
            self.rooms.put_cell(self.number, cell);
        }
        self.rooms.note_bytes(self.number, bytes);
        if let Some(say) = self.when_durable {
            say();
        }
    }
}
