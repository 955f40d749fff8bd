//! Rooms that replace others.

use freehold_store::tables::rooms::Membership;
use freehold_store::{RoomNumber, UserNumber};
use ruma_common::{OwnedRoomId, RoomId};
use serde_json::Value;

use super::{Reader, StoredEvent, Unreadable};

impl Reader {
    /// The room that a room replaces, if a user of a tenant is in that one or was, and its `m.room.tombstone` says the same: a room
    /// can call any other its predecessor.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn replaced_room(
        &self,
        user: UserNumber,
        room: RoomNumber,
    ) -> Result<Option<OwnedRoomId>, Unreadable> {
        let Some(create) = self.current_state(room).await?.get("m.room.create", "").await? else {
            return Ok(None);
        };
        let Some(old) = room_in(&create, "/predecessor/room_id") else { return Ok(None) };
        let Some(number) = self.room_number(&old).await? else { return Ok(None) };
        let row = self.membership(user, number).await?;
        if !row.is_some_and(|row| row.membership == Membership::Join || row.joined_until.is_some()) {
            return Ok(None);
        }
        let tombstone = self.current_state(number).await?.get("m.room.tombstone", "").await?;
        let replacement = tombstone.and_then(|tombstone| room_in(&tombstone, "/replacement_room"));
        let facts = self.room(room).await?;
        Ok(facts.filter(|facts| Some(&facts.room_id) == replacement.as_ref()).map(|_| old))
    }
}

/// The room that the content of an event names at a place.
fn room_in(event: &StoredEvent, pointer: &str) -> Option<OwnedRoomId> {
    let content: Value = serde_json::from_str(event.pdu.content()).ok()?;
    RoomId::parse(content.pointer(pointer)?.as_str()?).ok()
}
