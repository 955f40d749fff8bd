//! What a user settled for a room goes with the user into the one that replaces it.

use freehold_accounts::{Accounts, CarryOverError};
use freehold_rooms::Rooms;
use freehold_store::Actor;
use ruma_common::RoomId;

use crate::error::ApiError;

/// Carries settings over into a room that the user came into, if it replaces another. The user is in the room whether that
/// succeeds or not.
pub(super) async fn carry_over(rooms: &Rooms, accounts: &Accounts, actor: &Actor, room_id: &RoomId) {
    if try_carry_over(rooms, accounts, actor, room_id).await.is_err() {
        tracing::warn!(%room_id, "settings are not carried over into a room");
    }
}

async fn try_carry_over(
    rooms: &Rooms,
    accounts: &Accounts,
    actor: &Actor,
    room_id: &RoomId,
) -> Result<(), ApiError> {
    let reader = rooms.reader()?;
    let Some(room) = reader.room_number(room_id).await? else { return Ok(()) };
    let Some(old) = reader.replaced_room(actor.user, room).await? else { return Ok(()) };
    match accounts.carry_over(actor, (&old, room_id)).await {
        Err(CarryOverError::Server(failure)) => Err(ApiError::internal(failure)),
        // The user has as many settings as there may be.
        Ok(()) | Err(_) => Ok(()),
    }
}
