//! Who shares rooms with whom, across servers.

use freehold_store::tables::rooms::Membership;
use freehold_store::{Position, RoomNumber, TimelineIndex, UserNumber};
use ruma_common::{OwnedUserId, ServerName, UserId};

use super::{Reader, StoredEvent, Unreadable};

/// Users of other servers who are joined to a room, or came and went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersElsewhere {
    /// Who is joined, or came.
    pub joined: Vec<OwnedUserId>,
    /// Who left.
    pub left: Vec<OwnedUserId>,
}

impl Reader {
    /// Whether a user of a tenant and another user are joined to the same room. With a position: whether the server of the first
    /// and the other are both in one of those rooms since then or longer, so that the other's server has told that server of
    /// whatever changed since.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn shares_room(
        &self,
        user: UserNumber,
        other: &UserId,
        since: Option<Position>,
    ) -> Result<bool, Unreadable> {
        for (room, row) in self.memberships(user).await? {
            if row.membership != Membership::Join {
                continue;
            }
            let member = self.current_state(room).await?.get("m.room.member", other.as_str()).await?;
            let Some(member) = member.filter(|event| is_joined(event)) else { continue };
            let is_told = match since {
                None => true,
                Some(since) => {
                    let own = self.snapshot.id_of(user).await?;
                    came(&member) <= since && self.is_in_since(room, own.server_name(), since).await?
                }
            };
            if is_told {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The users of servers elsewhere who are joined to a room; after a position, those who came and went since.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn members_elsewhere(
        &self,
        room: RoomNumber,
        after: Option<Position>,
    ) -> Result<MembersElsewhere, Unreadable> {
        let mut members = match after {
            None => self.joined_members(room).await?,
            Some(after) => self.changed_members(room, after).await?,
        };
        let identities = &self.rooms.0.outside.identities;
        let is_elsewhere = |user: &OwnedUserId| identities.tenant(user.server_name()).is_none();
        members.joined.retain(is_elsewhere);
        members.left.retain(is_elsewhere);
        Ok(members)
    }

    async fn joined_members(&self, room: RoomNumber) -> Result<MembersElsewhere, Unreadable> {
        let mut members = MembersElsewhere::default();
        let state = self.current_state(room).await?;
        state.each_member(Membership::Join, |event| members.joined.extend(member(event))).await?;
        Ok(members)
    }

    async fn changed_members(
        &self,
        room: RoomNumber,
        after: Position,
    ) -> Result<MembersElsewhere, Unreadable> {
        let changes = self.state_changes(room, (after, self.position())).await?;
        let mut members = MembersElsewhere::default();
        for change in changes.into_iter().filter(|change| change.event_type == "m.room.member") {
            let Ok(user_id) = UserId::parse(&change.state_key) else { continue };
            let was_joined = match change.old {
                Some(event) => is_joined(&*self.event(event).await?),
                None => false,
            };
            let is_joined = match change.new {
                Some(event) => is_joined(&*self.event(event).await?),
                None => false,
            };
            match (was_joined, is_joined) {
                (false, true) => members.joined.push(user_id),
                (true, false) => members.left.push(user_id),
                _ => {}
            }
        }
        Ok(members)
    }

    /// Whether a server is in a room since a position or longer.
    async fn is_in_since(
        &self,
        room: RoomNumber,
        server: &ServerName,
        since: Position,
    ) -> Result<bool, Unreadable> {
        let row = self.server_in(room, server).await?;
        Ok(row.is_some_and(|row| row.since <= since))
    }
}

/// When a member event came; the beginning, if it came with the room.
fn came(event: &StoredEvent) -> Position {
    event.row.timeline.and_then(TimelineIndex::position).unwrap_or_default()
}

fn is_joined(event: &StoredEvent) -> bool {
    event.row.membership == Some(Membership::Join)
}

fn member(event: &StoredEvent) -> Option<OwnedUserId> {
    UserId::parse(event.pdu.state_key()?).ok()
}
