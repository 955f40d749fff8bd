//! The current state of a room against its forward extremities.

use freehold_state_map::NodeId;
use freehold_store::tables::rooms::{CURRENT_STATE, RoomRow, STATE_HISTORY};
use freehold_store::{Order, ReadError, RoomNumber};

use super::states::Computed;
use super::{Checking, RoomFault};

impl Checking<'_> {
    /// The current state is the resolution of the states after the forward extremities, and the newest of its history.
    pub(crate) async fn current_state(&mut self, room: RoomNumber, row: &RoomRow) -> Result<(), ReadError> {
        let Some(current) = self.snapshot.get(&CURRENT_STATE, &room).await? else { return Ok(()) };
        match self.computed(&current.forward_extremities, row).await? {
            Computed::State(state) if state.root_id() != NodeId::from_bytes(current.state) => {
                self.report("current_state", (room, None), RoomFault::CurrentState);
            }
            Computed::Failed(reason) => {
                self.report("current_state", (room, None), RoomFault::NoState { reason });
            }
            Computed::State(_) | Computed::Given => {}
        }
        let newest = self.snapshot.scan_prefix(&STATE_HISTORY, &room, Order::Descending, 1).await?;
        if newest.first().is_some_and(|(_, root)| *root != current.state) {
            self.report("state_history", (room, None), RoomFault::StateHistory);
        }
        match self.entries(current.state).await? {
            Ok(entries) => self.members(room, &current, entries).await,
            Err(reason) => {
                self.report("current_state", (room, None), RoomFault::NoState { reason });
                Ok(())
            }
        }
    }
}
