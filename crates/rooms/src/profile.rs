//! Changes of what somebody is called, and of everything somebody is in.

use freehold_store::Actor;
use freehold_store::tables::rooms::Membership;
use ruma_common::RoomId;
use serde_json::{Map, Value};

use crate::content;
use crate::error::ActionError;
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::{Wanted, Work};

/// What of a membership event is about the profile.
const PROFILE: [&str; 2] = ["displayname", "avatar_url"];

impl Rooms {
    /// Says in every room that a user has joined what the user is called now
    /// (<https://spec.matrix.org/v1.19/client-server-api/#events-on-change-of-profile-information>). Gives the number of
    /// rooms in which something changed. A room that does not take the change does not keep others from taking it.
    ///
    /// # Errors
    /// [`ActionError`] of the store.
    pub async fn announce_profile(&self, actor: &Actor) -> Result<usize, ActionError> {
        let profile = self.0.outside.profiles.member_profile(&actor.tenant, &actor.user_id).await;
        let mut changed = 0;
        for room_id in self.rooms_with(actor, &[Membership::Join]).await? {
            match tried!(self.try_announce(actor, &room_id, &profile)) {
                Ok(true) => changed += 1,
                Ok(false)
                | Err(ActionError::Forbidden(_) | ActionError::ShutOut(_) | ActionError::NotInRoom) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(changed)
    }

    async fn try_announce(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        profile: &Map<String, Value>,
    ) -> Result<bool, ActionError> {
        let mut work = Work::begin_as(self, actor, room_id).await?;
        let Some(member) = work.state_event("m.room.member", actor.user_id.as_str()).await? else {
            return Ok(false);
        };
        let said: Map<String, Value> = serde_json::from_str(member.pdu.content()).unwrap_or_default();
        let mut fields = said.clone();
        fields.retain(|key, _| !PROFILE.contains(&key.as_str()));
        fields.extend(profile.clone());
        if fields == said || said.get("membership").and_then(Value::as_str) != Some("join") {
            return Ok(false);
        }
        let content = content::made(&fields.into(), work.machine.version())?;
        let wanted = Wanted::state(&actor.user_id, ("m.room.member", actor.user_id.as_str()), content);
        work.append_any(actor, wanted).await?;
        work.commit().await?;
        Ok(true)
    }

    /// Leaves every room, refuses every invitation and takes every knock back, as when an account is deactivated.
    ///
    /// # Errors
    /// [`ActionError`] of the store.
    pub async fn leave_all(&self, actor: &Actor) -> Result<(), ActionError> {
        for room_id in
            self.rooms_with(actor, &[Membership::Join, Membership::Invite, Membership::Knock]).await?
        {
            match self.leave(actor, &room_id, None).await {
                Ok(()) | Err(ActionError::Forbidden(_) | ActionError::NotInRoom) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn rooms_with(
        &self,
        actor: &Actor,
        memberships: &[Membership],
    ) -> Result<Vec<ruma_common::OwnedRoomId>, ActionError> {
        let reader = self.reader()?;
        let mut rooms = Vec::new();
        for (room, row) in reader.memberships(actor.user).await? {
            if memberships.contains(&row.membership) {
                rooms.push(reader.snapshot().id_of(room).await?);
            }
        }
        Ok(rooms)
    }
}
