//! Telling others that somebody types, and that they stopped.

use std::sync::Arc;
use std::time::Duration;

use freehold_rooms::{Reader, Unreadable};
use freehold_store::{Actor, ReadError, UserNumber};
use ruma_common::{RoomId, UserId};

use crate::service::{Inner, SyncService};
use crate::typing::{Place, TYPING_MS_MAX};

/// Why others are not told.
#[derive(Debug, thiserror::Error)]
pub enum TypingError {
    /// The user is not in the room.
    #[error("you are not in this room")]
    NotJoined,
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The room cannot be read.
    #[error(transparent)]
    Room(#[from] Unreadable),
}

impl SyncService {
    /// A user types in a room for some time, or stopped (`None`).
    ///
    /// # Errors
    /// [`TypingError`]; nobody was told.
    pub async fn set_typing(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        typing_for: Option<Duration>,
    ) -> Result<(), TypingError> {
        let reader = self.0.rooms.reader()?;
        let room = reader.joined_room(actor.user, room_id).await?.ok_or(TypingError::NotJoined)?;
        self.note_typing(&reader, (Place { room, told: None }, &actor.user_id), typing_for).await?;
        let place = (room_id, &*actor.user_id);
        self.0.outside.servers.typing(&actor.tenant, place, typing_for.is_some()).await;
        Ok(())
    }

    /// Tells the members of a room who are users of tenants, or of the one that was told.
    pub(crate) async fn note_typing(
        &self,
        reader: &Reader,
        (place, user_id): (Place, &UserId),
        typing_for: Option<Duration>,
    ) -> Result<(), Unreadable> {
        let members = match place.told {
            Some(tenant) => reader.joined_of(tenant, place.room).await?,
            None => reader.local_joined(place.room).await?,
        };
        let inner = &self.0;
        let changed = match typing_for {
            None => inner.typing.stop(place, user_id),
            Some(time) => {
                let time_ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX).min(TYPING_MS_MAX);
                let until_ts = inner.outside.clock.now_ts().saturating_add(time_ms);
                expire_later(Arc::clone(inner), place, time_ms, members.clone());
                inner.typing.start(place, user_id, until_ts)
            }
        };
        if changed {
            inner.wake_all(&members);
        }
        Ok(())
    }
}

impl Inner {
    fn wake_all(&self, members: &[UserNumber]) {
        members.iter().for_each(|user| self.store.wakes().wake(*user));
    }
}

/// Clients that vanish do not say that they stopped.
fn expire_later(inner: Arc<Inner>, place: Place, time_ms: i64, members: Vec<UserNumber>) {
    let time = Duration::from_millis(u64::try_from(time_ms).unwrap_or_default());
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        if inner.typing.expire(place, inner.outside.clock.now_ts()) {
            inner.wake_all(&members);
        }
    });
}
