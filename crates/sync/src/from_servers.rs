//! What other servers say of their users: that they type, and up to where they read.
//!
//! Each says it to a tenant, and the users of that tenant are told: otherwise a server could be heard by way of a tenant where
//! another does not listen to it, and could see who lives together. What a server has no business to say, and what is about rooms
//! that the tenant is not in, changes nothing.

use std::time::Duration;

use freehold_rooms::{Reader, Unreadable};
use freehold_store::tables::receipts::ReceiptKind;
use freehold_store::tables::rooms::Membership;
use freehold_store::{Batch, CommitError, ReadError, RoomNumber, Tenant, UserNumber};
use ruma_common::{OwnedEventId, RoomId, UserId};

use crate::receipts::{NewReceipt, ReceiptError, set_one};
use crate::service::SyncService;
use crate::typing::Place;

/// For how long a user of another server types without its saying so again: servers repeat it within 30 seconds.
const TYPING_TIME: Duration = Duration::from_secs(45);
/// How often receipts are set anew when the user's other receipts are set at the same time.
const ATTEMPTS: usize = 8;

/// A receipt as the user's server tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldReceipt {
    /// The event up to which the user read.
    pub event_id: OwnedEventId,
    /// The thread: `main`, or the id of a thread root; without one, the receipt is for the whole room.
    pub thread: Option<String>,
    /// When the user read it, in milliseconds since the Unix epoch, as their server says.
    pub ts: i64,
}

/// Why what another server says is not passed on.
#[derive(Debug, thiserror::Error)]
pub enum NotHeard {
    /// The tenant is not in the room, or the user is not.
    #[error("the user shares no such room with the tenant")]
    NotInRoom,
    /// The receipt is for nothing that could be read here.
    #[error(transparent)]
    Receipt(ReceiptError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The room cannot be read.
    #[error(transparent)]
    Room(#[from] Unreadable),
    /// The store cannot be written.
    #[error(transparent)]
    Commit(CommitError),
}

impl From<ReceiptError> for NotHeard {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::Read(error) => NotHeard::Read(error),
            ReceiptError::Commit(error) => NotHeard::Commit(error),
            ReceiptError::Room(error) => NotHeard::Room(error),
            error => NotHeard::Receipt(error),
        }
    }
}

impl SyncService {
    /// A user of another server types in a room, or stopped.
    ///
    /// # Errors
    /// [`NotHeard`]; nobody was told.
    pub async fn hear_typing(
        &self,
        tenant: &Tenant,
        (user_id, room_id): (&UserId, &RoomId),
        typing: bool,
    ) -> Result<(), NotHeard> {
        let reader = self.0.rooms.reader()?;
        let (room, _) = shared(&reader, tenant, (user_id, room_id)).await?;
        let place = Place { room, told: Some(tenant.number()) };
        Ok(self.note_typing(&reader, (place, user_id), typing.then_some(TYPING_TIME)).await?)
    }

    /// A user of another server read up to an event of a room. A receipt that would go back is left out.
    ///
    /// # Errors
    /// [`NotHeard`]; nothing was set.
    pub async fn hear_receipt(
        &self,
        tenant: &Tenant,
        (user_id, room_id): (&UserId, &RoomId),
        receipt: &ToldReceipt,
    ) -> Result<(), NotHeard> {
        let mut conflict = None;
        for _ in 0..ATTEMPTS {
            match self.try_hear_receipt(tenant, (user_id, room_id), receipt).await {
                Err(NotHeard::Commit(error @ CommitError::Conflict { .. })) => conflict = Some(error),
                other => return other,
            }
        }
        conflict.map_or(Ok(()), |error| Err(NotHeard::Commit(error)))
    }

    async fn try_hear_receipt(
        &self,
        tenant: &Tenant,
        (user_id, room_id): (&UserId, &RoomId),
        receipt: &ToldReceipt,
    ) -> Result<(), NotHeard> {
        let reader = self.0.rooms.reader()?;
        let (room, user) = shared(&reader, tenant, (user_id, room_id)).await?;
        let ts = receipt.ts.clamp(0, self.0.outside.clock.now_ts());
        let (event_id, thread) = (receipt.event_id.clone(), receipt.thread.clone());
        let receipt = NewReceipt { event_id, kind: ReceiptKind::Read, thread };
        let mut batch = Batch::new();
        let place = (room, Some(tenant.number()), user);
        if !set_one(reader.snapshot(), &mut batch, place, receipt, ts).await? {
            return Ok(());
        }
        batch.touch(room);
        let members = reader.joined_of(tenant.number(), room).await?;
        members.into_iter().for_each(|user| batch.wake(user));
        self.0.store.commit(batch).await.map_err(NotHeard::Commit)?;
        Ok(())
    }
}

/// The numbers of a room and a user of another server who is in it, if the tenant is in it, too.
async fn shared(
    reader: &Reader,
    tenant: &Tenant,
    (user_id, room_id): (&UserId, &RoomId),
) -> Result<(RoomNumber, UserNumber), NotHeard> {
    let room = reader.room_number(room_id).await?.ok_or(NotHeard::NotInRoom)?;
    if !reader.is_in_room(tenant.number(), room).await? {
        return Err(NotHeard::NotInRoom);
    }
    let member = reader.current_state(room).await?.get("m.room.member", user_id.as_str()).await?;
    if member.and_then(|member| member.row.membership) != Some(Membership::Join) {
        return Err(NotHeard::NotInRoom);
    }
    let user = reader.snapshot().number_of(&user_id.to_owned()).await?.ok_or(NotHeard::NotInRoom)?;
    Ok((room, user))
}
