//! The rooms that a tenant's directory lists, and what is told about them
//! (<https://spec.matrix.org/v1.19/client-server-api/#published-room-directory>).

use std::borrow::Cow;

use freehold_canonical_json::string_member;
use freehold_store::tables::rooms::DIRECTORY;
use freehold_store::{Actor, Batch, Order, RoomNumber, Tenant, TenantNumber};
use ruma_common::{OwnedRoomId, RoomId};

use crate::authorise::allow_list;
use crate::create::Visibility;
use crate::error::ActionError;
use crate::read::{Reader, RoomState, Unreadable};
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::Work;

/// What is told about a room to those who are not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSummary {
    /// The room.
    pub number: RoomNumber,
    /// Its id.
    pub room_id: OwnedRoomId,
    /// The id of its version.
    pub room_version: &'static str,
    /// Its name.
    pub name: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Its canonical alias.
    pub canonical_alias: Option<String>,
    /// How many users are joined.
    pub num_joined_members: u64,
    /// Its join rule.
    pub join_rule: String,
    /// The rooms whose members may join, if the join rule is about any.
    pub allowed_room_ids: Vec<OwnedRoomId>,
    /// Whether everybody may read it.
    pub world_readable: bool,
    /// Whether guests may join.
    pub guest_can_join: bool,
    /// The `type` of its create event.
    pub room_type: Option<String>,
    /// The algorithm with which it is encrypted.
    pub encryption: Option<String>,
}

/// Which rooms of a directory are wanted.
#[derive(Clone, Debug, Default)]
pub struct DirectoryFilter {
    /// A text that the name, the topic or the alias holds, whatever the case.
    pub search_term: Option<String>,
    /// The room types, `None` among them for rooms without one; an empty list for all.
    pub room_types: Vec<Option<String>>,
}

impl Rooms {
    /// Lists a room in the directory of the user's tenant, or takes it off. Who may set the canonical alias may.
    ///
    /// # Errors
    /// [`ActionError::MayNot`].
    pub async fn set_directory_visibility(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        visibility: Visibility,
    ) -> Result<(), ActionError> {
        tried!(self.try_set_visibility(actor, room_id, visibility))
    }

    async fn try_set_visibility(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        visibility: Visibility,
    ) -> Result<(), ActionError> {
        let has_directory = self.0.outside.identities.policy(&actor.tenant).await.has_directory;
        let mut work = Work::begin_as(self, actor, room_id).await?;
        if visibility == Visibility::Public && !has_directory {
            return Err(ActionError::SwitchedOff("directory"));
        }
        if !work.may_name(actor).await? {
            return Err(ActionError::MayNot("you have not the power to list the room"));
        }
        let key = (actor.tenant.number(), work.number);
        let mut batch = Batch::new();
        match visibility {
            Visibility::Public => batch.put(&DIRECTORY, &key, &()),
            Visibility::Private => batch.delete(&DIRECTORY, &key),
        }
        self.0.store.commit(batch).await?;
        Ok(())
    }
}

impl Reader {
    /// Whether the directory of a tenant lists a room.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn directory_visibility(
        &self,
        tenant: TenantNumber,
        room: RoomNumber,
    ) -> Result<Visibility, Unreadable> {
        let listed = self.snapshot.get(&DIRECTORY, &(tenant, room)).await?;
        Ok(listed.map_or(Visibility::Private, |()| Visibility::Public))
    }

    /// The rooms that the directory of a tenant lists, none if the tenant does not want one; those with most members first.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn public_rooms(
        &self,
        tenant: &Tenant,
        filter: &DirectoryFilter,
    ) -> Result<Vec<RoomSummary>, Unreadable> {
        if !self.rooms.0.outside.identities.policy(tenant).await.has_directory {
            return Ok(Vec::new());
        }
        let tenant = tenant.number();
        let listed = self.snapshot.scan_prefix(&DIRECTORY, &(tenant,), Order::Ascending, usize::MAX).await?;
        let mut rooms = Vec::with_capacity(listed.len());
        for ((_, room), ()) in listed {
            rooms.extend(self.summary(room).await?.filter(|summary| filter.admits(summary)));
        }
        rooms.sort_by_key(|room| (std::cmp::Reverse(room.num_joined_members), room.number));
        Ok(rooms)
    }

    /// What is told about a room to those who are not in it. Whether somebody may be told is the caller's to decide.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn summary(&self, room: RoomNumber) -> Result<Option<RoomSummary>, Unreadable> {
        let (Some(facts), Some(row)) = (self.room(room).await?, self.current(room).await?) else {
            return Ok(None);
        };
        let state = self.current_state(room).await?;
        let rules = content(&state, "m.room.join_rules").await?;
        let visibility = text(&state, ("m.room.history_visibility", "history_visibility")).await?;
        let guests = text(&state, ("m.room.guest_access", "guest_access")).await?;
        Ok(Some(RoomSummary {
            number: room,
            room_id: facts.room_id.clone(),
            room_version: facts.version.id(),
            name: text(&state, ("m.room.name", "name")).await?,
            topic: text(&state, ("m.room.topic", "topic")).await?,
            avatar_url: text(&state, ("m.room.avatar", "url")).await?,
            canonical_alias: text(&state, ("m.room.canonical_alias", "alias")).await?,
            num_joined_members: row.joined,
            join_rule: member_text(&rules, "join_rule").unwrap_or_else(|| "invite".to_owned()),
            allowed_room_ids: allow_list(&rules),
            world_readable: visibility.as_deref() == Some("world_readable"),
            guest_can_join: guests.as_deref() == Some("can_join"),
            room_type: text(&state, ("m.room.create", "type")).await?,
            encryption: text(&state, ("m.room.encryption", "algorithm")).await?,
        }))
    }
}

impl DirectoryFilter {
    fn admits(&self, room: &RoomSummary) -> bool {
        let of_type = self.room_types.is_empty() || self.room_types.contains(&room.room_type);
        let term = self.search_term.as_deref().unwrap_or_default().to_lowercase();
        let holds =
            |text: &Option<String>| text.as_ref().is_some_and(|text| text.to_lowercase().contains(&term));
        of_type
            && (term.is_empty() || holds(&room.name) || holds(&room.topic) || holds(&room.canonical_alias))
    }
}

async fn content(state: &RoomState, event_type: &str) -> Result<String, Unreadable> {
    let event = state.get(event_type, "").await?;
    Ok(event.map_or_else(|| "{}".to_owned(), |event| event.pdu.content().to_owned()))
}

async fn text(state: &RoomState, (event_type, key): (&str, &str)) -> Result<Option<String>, Unreadable> {
    Ok(member_text(&content(state, event_type).await?, key))
}

fn member_text(content: &str, key: &str) -> Option<String> {
    string_member(content, key).filter(|text| !text.is_empty()).map(Cow::into_owned)
}
