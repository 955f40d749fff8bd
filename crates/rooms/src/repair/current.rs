//! The current state.

use freehold_room::state_after_all;
use freehold_state_map::NodeId;
use freehold_store::tables::rooms::{CURRENT_STATE, EVENTS, STATE_HISTORY, TIMELINE};
use freehold_store::{EventNumber, Order, Position, TimelineIndex};

use super::Mending;
use crate::error::ActionError;

impl Mending {
    /// The current state is the resolution of the states after the forward extremities.
    pub(super) async fn mend_current_state(&mut self) -> Result<(), ActionError> {
        let heads: Vec<u64> = self.current.forward_extremities.iter().map(|head| head.0).collect();
        // Nothing was received yet, or everybody left.
        if heads.is_empty() {
            return Ok(());
        }
        let version = self.version;
        let state = self.computed(|shelf| state_after_all(version, &heads, shelf)).await?.flatten();
        let Some(state) = state else { return Ok(()) };
        let root = *state.root_id().as_bytes();
        if root == self.current.state && !self.rebuild {
            return Ok(());
        }
        let before = NodeId::from_bytes(self.current.state);
        let base = match self.rebuild {
            true => None,
            false => self.computed(|shelf| shelf.open(before)).await?,
        };
        let base = base.unwrap_or_default();
        if self.save(&state, &base).await? {
            self.current.state = root;
        }
        Ok(())
    }

    /// Notes how the current state changes.
    pub(super) async fn note_current_state(&mut self) -> Result<(), ActionError> {
        let [before, after] = [&self.stored, &self.current].map(|row| NodeId::from_bytes(row.state));
        if before == after {
            if !self.nodes.is_empty() && self.rebuild {
                let what = format!("{} lost nodes of states are made anew", self.nodes.len());
                self.step("state_nodes", None, what).await?;
            }
            return Ok(());
        }
        let differing = self.computed(|shelf| {
            let (before, after) = (shelf.open(before)?, shelf.open(after)?);
            Ok(before.diff(&after, &shelf.nodes())?.len())
        });
        let what = match differing.await? {
            Some(count) => format!("{count} entries become what the events make of them"),
            None => "it becomes what the events make of it".to_owned(),
        };
        self.step("current_state", None, what).await
    }

    /// Writes the row of the current state, and what hangs on its position.
    pub(super) async fn write_current(&mut self) -> Result<(), ActionError> {
        let stored = self.view.get(&CURRENT_STATE, &self.number).await?;
        let room = self.number;
        let newest = self.view.scan_prefix(&STATE_HISTORY, &room, Order::Descending, 1).await?;
        if let Some(((_, position), root)) = newest.first()
            && *root != self.current.state
        {
            if stored.as_ref().is_some_and(|stored| stored.state == self.current.state) {
                let what = "the newest entry becomes the current state";
                self.step("state_history", None, what).await?;
            }
            // One of the time to come is none.
            if *position > self.view.position() {
                self.overlay.write(|writes| writes.delete(&STATE_HISTORY, &(room, *position)));
            }
            let state = self.current.state;
            self.overlay.at_position(move |position, writes| {
                writes.put(&STATE_HISTORY, &(room, position), &state);
            });
        }
        let shown: Vec<(EventNumber, _)> = std::mem::take(&mut self.shown)
            .into_iter()
            .filter_map(|number| Some((number, self.events.get(&number)?.clone())))
            .collect();
        if shown.is_empty() {
            if stored.as_ref() != Some(&self.current) {
                let current = self.current.clone();
                self.overlay.write(|writes| writes.put(&CURRENT_STATE, &room, &current));
            }
            return Ok(());
        }
        let next = Position(self.view.position().0.saturating_add(1));
        for (place, (number, row)) in shown.iter().enumerate() {
            let row =
                freehold_store::tables::rooms::EventRow { timeline: Some(at(next, place)), ..row.clone() };
            self.events.insert(*number, row);
        }
        self.current.last = at(next, shown.len() - 1);
        let current = self.current.clone();
        self.overlay.at_position(move |position, writes| {
            let mut current = current.clone();
            for (place, (number, row)) in shown.iter().enumerate() {
                let mut row = row.clone();
                current.last = at(position, place);
                row.timeline = Some(current.last);
                writes.put(&TIMELINE, &(room, current.last), number);
                writes.put(&EVENTS, number, &row);
            }
            writes.put(&CURRENT_STATE, &room, &current);
        });
        Ok(())
    }
}

fn at(position: Position, place: usize) -> TimelineIndex {
    TimelineIndex::at(position, u16::try_from(place).unwrap_or(u16::MAX))
}
