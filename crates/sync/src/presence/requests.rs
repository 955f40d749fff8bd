//! What people and other servers say of who is online.

use freehold_rooms::{Reader, Unreadable, Viewer};
use freehold_store::tables::rooms::Membership;
use freehold_store::{Actor, ReadError, Tenant, UserNumber};
use ruma_common::{ServerName, UserId};

use super::known::bounded;
use super::limits::GRACE_MS;
use super::shown::{PresenceState, Shown, ToldPresence};
use crate::service::{SyncRequest, SyncService};

/// Why it is not said whether somebody is online.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// No room is shared with the user, if there is one.
    #[error("you share no room with this user")]
    NoSharedRoom,
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A room cannot be read.
    #[error(transparent)]
    Room(#[from] Unreadable),
}

impl SyncService {
    /// A user says how they want to be seen. Without effect if their tenant does not let it be known.
    pub async fn set_presence(&self, actor: &Actor, shown: Shown) {
        if self.shows_presence(&actor.tenant).await {
            let shown = Shown { status_msg: bounded(shown.status_msg), ..shown };
            let now_ts = self.0.outside.clock.now_ts();
            self.0.presence.said(actor, shown, now_ts);
        }
    }

    /// A user does something that others see.
    pub fn note_active(&self, actor: &Actor) {
        self.0.presence.active(actor, self.0.outside.clock.now_ts());
    }

    /// Whether somebody is online, as far as it is known: who asks must share a room with them.
    ///
    /// # Errors
    /// [`PresenceError`].
    pub async fn presence_of(&self, actor: &Actor, user_id: &UserId) -> Result<ToldPresence, PresenceError> {
        let reader = self.0.rooms.reader()?;
        let is_told = reader.is_told_of(&Viewer::from(actor), user_id);
        if *user_id != *actor.user_id && !(is_told && shares_room(&reader, actor.user, user_id).await?) {
            return Err(PresenceError::NoSharedRoom);
        }
        let nobody = ToldPresence { shown: Shown::default(), last_active_ago_ms: 0 };
        if !self.shows_presence(&actor.tenant).await {
            return Ok(nobody);
        }
        let user = reader.snapshot().number_of(&user_id.to_owned()).await?;
        let now_ts = self.0.outside.clock.now_ts();
        let known = user.and_then(|user| self.0.presence.of(user, actor.tenant.number(), now_ts));
        Ok(known.unwrap_or(nobody))
    }

    /// A server tells a tenant of one of its users. Of users whom nobody here ever met, and of those of others, nothing is
    /// noted; whether a room is shared is seen when it is told on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hear_presence(
        &self,
        tenant: &Tenant,
        (origin, user_id): (&ServerName, &UserId),
        told: ToldPresence,
    ) -> Result<(), ReadError> {
        if user_id.server_name() != origin || !self.shows_presence(tenant).await {
            return Ok(());
        }
        let user_id = user_id.to_owned();
        let Some(user) = self.0.store.snapshot()?.number_of(&user_id).await? else { return Ok(()) };
        let now_ts = self.0.outside.clock.now_ts();
        self.0.presence.heard(tenant.number(), (user, user_id), told, now_ts);
        Ok(())
    }

    /// A client syncs: it is connected as long as it may wait, and until it may be back.
    pub(crate) async fn note_connected(&self, actor: &Actor, request: &SyncRequest) {
        if request.set_presence == PresenceState::Offline || !self.shows_presence(&actor.tenant).await {
            return;
        }
        let now_ts = self.0.outside.clock.now_ts();
        let wait_ms = i64::try_from(request.timeout.as_millis()).unwrap_or(i64::MAX);
        let until_ts = now_ts.saturating_add(wait_ms).saturating_add(GRACE_MS);
        self.0.presence.connected(actor, request.set_presence, (now_ts, until_ts));
    }

    async fn shows_presence(&self, tenant: &Tenant) -> bool {
        self.0.outside.presence.shows_presence(tenant).await
    }
}

async fn shares_room(reader: &Reader, user: UserNumber, other: &UserId) -> Result<bool, Unreadable> {
    for (room, row) in reader.memberships(user).await? {
        if row.membership != Membership::Join {
            continue;
        }
        let member = reader.current_state(room).await?.get("m.room.member", other.as_str()).await?;
        if member.is_some_and(|member| member.row.membership == Some(Membership::Join)) {
            return Ok(true);
        }
    }
    Ok(false)
}
