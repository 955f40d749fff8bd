//! State events that came with a whole state of a room: no timeline has a place for them.

use std::sync::Arc;

use freehold_store::tables::rooms::{Membership, MembershipRow, STATE_HISTORY, Standing};
use freehold_store::{Order, RoomNumber, TimelineIndex};
use ruma_common::EventId;

use super::{Reader, RoomState, StoredEvent, Unreadable, Viewer};

impl Reader {
    /// A state event of a room that has no place in its timeline, if a state held it that the user may see: the newest one, the
    /// one in which the user came in, or the one with which the room came here.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn state_event_seen(
        &self,
        viewer: &Viewer,
        (room, row): (RoomNumber, &MembershipRow),
        event_id: &EventId,
    ) -> Result<Option<Arc<StoredEvent>>, Unreadable> {
        let Some(number) = self.snapshot.number_of(&event_id.to_owned()).await? else {
            return Ok(None);
        };
        let is_meant =
            |event: &Arc<StoredEvent>| event.row.room == room && event.row.standing == Standing::Outlier;
        let Some(event) = self.event_if_here(number).await?.filter(is_meant) else { return Ok(None) };
        let Some(key) = event.row.state_key else { return Ok(None) };
        for state in self.states_seen(viewer, (room, row)).await? {
            if state.number_at(key).await? == Some(number) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    async fn states_seen(
        &self,
        viewer: &Viewer,
        (room, row): (RoomNumber, &MembershipRow),
    ) -> Result<Vec<RoomState>, Unreadable> {
        let mut states = match (row.membership, row.joined_until) {
            (Membership::Join, _) => {
                vec![self.current_state(room).await?, self.state_at(room, row.since).await?]
            }
            (_, Some(left)) => vec![self.state_until(room, left).await?],
            (_, None) => Vec::new(),
        };
        let first = self.snapshot.scan_prefix(&STATE_HISTORY, &room, Order::Ascending, 1).await?;
        if let Some(((_, position), _)) = first.first() {
            let state = self.state_at(room, *position).await?;
            let at = TimelineIndex::last_of(*position);
            if self.is_state_visible(viewer, row, (&state, at)).await? {
                states.push(state);
            }
        }
        Ok(states)
    }
}
