//! Which rooms have news for a user, and of which kind.

use std::collections::BTreeSet;
use std::sync::Arc;

use freehold_store::tables::identity::ROOM_IDS;
use freehold_store::tables::rooms::{Membership, MembershipRow};
use freehold_store::{Position, RoomNumber};
use ruma_common::{OwnedRoomId, OwnedUserId};
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use crate::filter::room_passes;
use crate::response::{EventJson, InvitedRoom, KnockedRoom, RoomsUpdate};
use crate::service::{Look, SyncError};

/// In so many rooms that changed the user is looked for; if there are more, all rooms of the user are read.
const ROOMS_LOOKED_AT: usize = 64;
/// The news of so many rooms are gathered one after the other; of more, as many at once as there are threads.
const ROOMS_TOGETHER: usize = 32;

/// A look at the rooms of the user.
pub(crate) struct RoomsLook {
    look: Arc<Look>,
    /// The rooms in which something happened, as far as that is known.
    changed: Option<BTreeSet<RoomNumber>>,
    /// Whether the user wants no invites.
    blocks_invites: bool,
}

/// How the user stands to a room.
pub(crate) struct Standing {
    pub(crate) room: RoomNumber,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) membership: MembershipRow,
}

impl RoomsLook {
    pub(crate) async fn new(look: &Arc<Look>) -> Result<Self, SyncError> {
        let blocks_invites = look.reader.blocks_invites(look.actor.user).await?;
        Ok(RoomsLook { look: Arc::clone(look), changed: changed_rooms(look), blocks_invites })
    }

    /// The news of all rooms.
    pub(crate) async fn rooms_update(self) -> Result<RoomsUpdate, SyncError> {
        let mut standings = self.standings().await?;
        if standings.len() <= ROOMS_TOGETHER {
            return self.update_of(standings).await;
        }
        let rooms = Arc::new(self);
        let mut parts = JoinSet::new();
        while !standings.is_empty() {
            let part = standings.split_off(standings.len().saturating_sub(ROOMS_TOGETHER));
            let rooms = Arc::clone(&rooms);
            parts.spawn(async move { rooms.update_of(part).await });
        }
        let mut update = RoomsUpdate::default();
        while let Some(part) = parts.join_next().await {
            update.extend(part.map_err(SyncError::Ended)??);
        }
        Ok(update)
    }

    async fn update_of(&self, standings: Vec<Standing>) -> Result<RoomsUpdate, SyncError> {
        let mut update = RoomsUpdate::default();
        for standing in standings {
            self.add(&mut update, standing).await?;
        }
        Ok(update)
    }

    /// The rooms with news, among those that the filter lets pass.
    async fn standings(&self) -> Result<Vec<Standing>, SyncError> {
        let rows = self.memberships().await?;
        let withheld = self.withheld().await?;
        let wanted = rows.into_iter().filter(|(room, row)| self.has_news(*room, row));
        let wanted: Vec<(RoomNumber, MembershipRow)> =
            wanted.filter(|(room, _)| !withheld.contains(room)).collect();
        let numbers: Vec<RoomNumber> = wanted.iter().map(|(room, _)| *room).collect();
        let ids = self.look.snapshot.get_many(&ROOM_IDS, &numbers).await?;
        let filter = &self.look.request.filter.room;
        let standings = wanted.into_iter().zip(ids).filter_map(|((room, membership), room_id)| {
            let room_id = room_id?;
            let passes = room_passes(filter.rooms.as_deref(), &filter.not_rooms, &room_id);
            passes.then_some(Standing { room, room_id, membership })
        });
        Ok(standings.collect())
    }

    /// The rooms of which a client that wants all members is told nothing yet, as not all of them are known.
    async fn withheld(&self) -> Result<BTreeSet<RoomNumber>, SyncError> {
        if !self.look.request.filter.room.state.lazy_load_options.is_disabled() {
            return Ok(BTreeSet::new());
        }
        Ok(self.look.reader.partial_numbers().await?)
    }

    /// How the user stands to rooms, to all that may have news: every change of a membership is a change of its room.
    async fn memberships(&self) -> Result<Vec<(RoomNumber, MembershipRow)>, SyncError> {
        let (reader, user) = (&self.look.reader, self.look.actor.user);
        let few = self.changed.as_ref().filter(|changed| changed.len() <= ROOMS_LOOKED_AT);
        Ok(match few.filter(|_| !self.look.request.full_state) {
            Some(changed) => reader.memberships_in(user, changed).await?,
            None => reader.memberships(user).await?,
        })
    }

    fn has_news(&self, room: RoomNumber, row: &MembershipRow) -> bool {
        let Some(since) = self.look.since() else {
            return match row.membership {
                Membership::Leave | Membership::Ban => {
                    self.look.request.filter.room.include_leave && !row.forgotten
                }
                _ => true,
            };
        };
        let is_member = row.membership == Membership::Join;
        let changed = || self.changed.as_ref().is_none_or(|changed| changed.contains(&room));
        row.since > since || (is_member && (self.look.request.full_state || changed()))
    }

    async fn add(&self, update: &mut RoomsUpdate, standing: Standing) -> Result<(), SyncError> {
        if self.look.since().is_some() && self.is_new(&standing.membership) {
            self.look.inner.presence.moved(self.look.actor.user);
        }
        match standing.membership.membership {
            Membership::Join => {
                let joined = self.look.joined_room(&standing).await?;
                if !joined.is_empty() || self.is_new(&standing.membership) {
                    update.join.insert(standing.room_id, joined);
                }
            }
            Membership::Invite => {
                let events = events(&standing.membership.stripped_state);
                if !self.blocks_invites && !self.is_ignored(&events) {
                    update.invite.insert(standing.room_id, InvitedRoom { invite_state: events.into() });
                }
            }
            Membership::Knock => {
                let events = events(&standing.membership.stripped_state);
                update.knock.insert(standing.room_id, KnockedRoom { knock_state: events.into() });
            }
            Membership::Leave | Membership::Ban => {
                if !standing.membership.forgotten {
                    update.leave.insert(standing.room_id.clone(), self.look.left_room(&standing).await?);
                }
            }
        }
        Ok(())
    }

    fn is_new(&self, membership: &MembershipRow) -> bool {
        self.look.since().is_none_or(|since| membership.since > since)
    }

    /// Whether an invite comes from somebody whom the user ignores.
    fn is_ignored(&self, stripped_state: &[EventJson]) -> bool {
        let user = self.look.actor.user_id.as_str();
        let inviter = stripped_state.iter().find_map(|event| inviter(event, user));
        inviter.is_some_and(|inviter| self.look.ignored.contains(&inviter))
    }
}

fn changed_rooms(look: &Look) -> Option<BTreeSet<RoomNumber>> {
    let since = look.since()?;
    let touched = look.inner.store.rooms_touched(since, look.snapshot.position());
    let mut changed = touched?;
    changed.extend(look.inner.typing.rooms_changed(look.actor.tenant.number(), look.typing_since));
    changed.extend(look.account_data.keys().flatten());
    Some(changed)
}

/// Events from their JSON texts.
fn events(texts: &[String]) -> Vec<EventJson> {
    texts.iter().filter_map(|text| RawValue::from_string(text.clone()).ok()).collect()
}

/// Who sent the membership event of a user, if this is it.
fn inviter(event: &EventJson, user: &str) -> Option<OwnedUserId> {
    #[derive(serde::Deserialize)]
    struct Member {
        #[serde(rename = "type")]
        event_type: String,
        state_key: String,
        sender: OwnedUserId,
    }
    let member: Member = serde_json::from_str(event.get()).ok()?;
    (member.event_type == "m.room.member" && member.state_key == user).then_some(member.sender)
}

/// Whether a position is before another or absent.
pub(crate) fn is_before(position: Option<Position>, other: Position) -> bool {
    position.is_none_or(|position| position < other)
}
