//! States computed anew from the events.

use std::collections::BTreeSet;

use freehold_event::RoomVersion;
use freehold_room::{Shelf, Stop, state_after_all};
use freehold_state_map::{NodeId, StateMap};
use freehold_store::tables::rooms::{EVENTS, EventRow, RoomRow, STATE_NODES, Standing};
use freehold_store::{EventNumber, ReadError};

use super::{Checking, RoomFault};
use crate::ActionError;
use crate::loaded::fulfil;

/// What came of computing a state.
pub(crate) enum Computed {
    /// The state.
    State(StateMap),
    /// It was given by other servers: nothing here says what it must be.
    Given,
    /// Why it cannot be computed.
    Failed(String),
}

impl Checking<'_> {
    /// The state before an event is the state after its `prev_events`.
    pub(crate) async fn state_before(
        &mut self,
        number: EventNumber,
        row: &EventRow,
        room: &RoomRow,
    ) -> Result<(), ReadError> {
        let Some(root) = row.state_before.filter(|_| row.standing != Standing::Outlier) else {
            return Ok(());
        };
        let at = (row.room, Some(number));
        let before = self.snapshot.get_many(&EVENTS, &row.prev_events).await?;
        // A state was given with an event that came before one that it follows.
        let came_later =
            |before: &EventRow| row.timeline.zip(before.timeline).is_some_and(|(at, prev)| prev > at);
        if before.iter().flatten().any(came_later) {
            return Ok(());
        }
        match self.computed(&row.prev_events, room).await? {
            Computed::State(state) if state.root_id() != NodeId::from_bytes(root) => {
                self.report("events", at, RoomFault::StateBefore);
            }
            Computed::Failed(reason) => self.report("events", at, RoomFault::NoState { reason }),
            Computed::State(_) | Computed::Given => {}
        }
        Ok(())
    }

    /// The state after some events together.
    pub(crate) async fn computed(
        &self,
        events: &[EventNumber],
        room: &RoomRow,
    ) -> Result<Computed, ReadError> {
        let Some(version) = RoomVersion::find(&room.version) else {
            return Ok(Computed::Failed("the room is of an unknown version".to_owned()));
        };
        if self.snapshot.get_many(&EVENTS, events).await?.iter().any(Option::is_none) {
            return Ok(Computed::Given);
        }
        let numbers: Vec<u64> = events.iter().map(|event| event.0).collect();
        let mut shelf = Shelf::new();
        loop {
            let stop = match state_after_all(version, &numbers, &shelf) {
                Ok(Some(state)) => return Ok(Computed::State(state)),
                Ok(None) => return Ok(Computed::Given),
                Err(stop) => stop,
            };
            if let Some(reason) = self.supply(version, &mut shelf, stop).await? {
                return Ok(Computed::Failed(reason));
            }
        }
    }

    /// Puts on the shelf what a computation needs; gives the reason if that cannot be.
    pub(super) async fn supply(
        &self,
        version: &'static RoomVersion,
        shelf: &mut Shelf,
        stop: Stop,
    ) -> Result<Option<String>, ReadError> {
        match fulfil(self.snapshot, version, shelf, stop).await {
            Ok(()) => Ok(None),
            Err(ActionError::Read(error)) => Err(error),
            Err(error) => Ok(Some(reason(&error))),
        }
    }

    /// The entries of a state, or why they cannot be read.
    pub(crate) async fn entries(
        &self,
        root: [u8; NodeId::LEN],
    ) -> Result<Result<Vec<(u64, EventNumber)>, String>, ReadError> {
        let mut shelf = Shelf::new();
        let mut asked = BTreeSet::new();
        loop {
            let read = shelf.open(NodeId::from_bytes(root)).and_then(|map| {
                let nodes = shelf.nodes();
                let entries = map.iter(&nodes).map(|entry| entry.map(|(key, entry)| (key, entry.event)));
                Ok(entries.collect::<Result<Vec<_>, _>>()?)
            });
            let needs = match read {
                Ok(entries) => {
                    return Ok(Ok(entries
                        .into_iter()
                        .map(|(key, event)| (key, EventNumber(event)))
                        .collect()));
                }
                Err(Stop::Needs(needs)) => needs,
                Err(stop) => return Ok(Err(reason(&stop))),
            };
            for node in needs.nodes {
                let bytes = self.snapshot.get(&STATE_NODES, node.as_bytes()).await?;
                let Some(bytes) = bytes.filter(|_| asked.insert(node)) else {
                    return Ok(Err(format!("node {node} is not there")));
                };
                shelf.put_node(node, bytes);
            }
        }
    }
}

/// An error with its causes.
fn reason(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", reason(source)),
        None => error.to_string(),
    }
}
