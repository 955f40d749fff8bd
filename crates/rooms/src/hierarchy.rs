//! Spaces: rooms that lead to others (<https://spec.matrix.org/v1.19/client-server-api/#spaces>).

use std::borrow::Cow;

use freehold_canonical_json::{RawValue, elements, member, string_member};
use freehold_store::tables::rooms::{LOCAL_MEMBERS, Membership};
use freehold_store::{Actor, EventNumber, Order, RoomNumber, StateKeyNumber, Tenant};
use ruma_common::{OwnedRoomId, OwnedServerName, RoomId, ServerName};
use serde_json::{Map, Value, json};

use crate::directory::RoomSummary;
use crate::limits::{SPACE_CHILDREN_MAX, SPACE_VIA_MAX};
use crate::read::{Reader, StoredEvent, Unreadable};

/// A room in a space, or the space.
#[derive(Clone, Debug)]
pub struct SpaceRoom {
    /// What is told about it.
    pub summary: RoomSummary,
    /// What it leads to, in the order in which clients show it; nothing, if it is no space.
    pub children: Vec<SpaceChild>,
}

/// What a space leads to.
#[derive(Clone, Debug)]
pub struct SpaceChild {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers that are in it, as the space says.
    pub via: Vec<OwnedServerName>,
    /// The `m.space.child` event as stripped state with its time.
    pub event: Value,
    /// Whether the space recommends it.
    pub is_suggested: bool,
}

/// What a tenant tells another server of a space.
#[derive(Clone, Debug)]
pub struct SpaceAnswer {
    /// The room that was asked for.
    pub room: SpaceRoom,
    /// What it leads to, as far as it is known and the server could come in.
    pub children: Vec<SpaceRoom>,
    /// What it leads to and is known, but not for the server.
    pub inaccessible: Vec<OwnedRoomId>,
}

impl SpaceRoom {
    /// As both APIs say it (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy>).
    pub fn to_json(&self) -> Value {
        let RoomSummary { name, topic, avatar_url, canonical_alias, room_type, encryption, .. } =
            &self.summary;
        let mut room = Map::new();
        for (key, text) in [
            ("name", name),
            ("topic", topic),
            ("avatar_url", avatar_url),
            ("canonical_alias", canonical_alias),
            ("room_type", room_type),
            ("encryption", encryption),
        ] {
            room.extend(text.as_ref().map(|text| (key.to_owned(), json!(text))));
        }
        let summary = &self.summary;
        room.insert("room_id".to_owned(), json!(summary.room_id));
        room.insert("room_version".to_owned(), json!(summary.room_version));
        room.insert("num_joined_members".to_owned(), json!(summary.num_joined_members));
        room.insert("join_rule".to_owned(), json!(summary.join_rule));
        room.insert("allowed_room_ids".to_owned(), json!(summary.allowed_room_ids));
        room.insert("world_readable".to_owned(), json!(summary.world_readable));
        room.insert("guest_can_join".to_owned(), json!(summary.guest_can_join));
        let children: Vec<&Value> = self.children.iter().map(|child| &child.event).collect();
        room.insert("children_state".to_owned(), json!(children));
        Value::Object(room)
    }
}

impl SpaceAnswer {
    /// As the server-server API says it
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid>).
    pub fn to_json(&self) -> Value {
        let children: Vec<Value> = self.children.iter().map(SpaceRoom::to_json).collect();
        json!({
            "room": self.room.to_json(),
            "children": children,
            "inaccessible_children": self.inaccessible,
        })
    }
}

impl Reader {
    /// A room as a user of a tenant may see it from a space: one that the user is in, could join or knock on, or that everybody may
    /// read. A room that the tenant is not in is not known.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn space_room_for_user(
        &self,
        actor: &Actor,
        room_id: &RoomId,
    ) -> Result<Option<SpaceRoom>, Unreadable> {
        let Some(room) = self.known_space_room(&actor.tenant, room_id).await? else { return Ok(None) };
        let membership = self.membership(actor.user, room.summary.number).await?.map(|row| row.membership);
        let is_open = match membership {
            Some(Membership::Join | Membership::Invite) => true,
            Some(Membership::Ban) => false,
            _ => {
                room.summary.is_open() || self.is_joined_to_any(actor, &room.summary.allowed_room_ids).await?
            }
        };
        Ok(is_open.then_some(room))
    }

    /// Whether a user is joined to one of some rooms.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn is_joined_to_any(&self, actor: &Actor, rooms: &[OwnedRoomId]) -> Result<bool, Unreadable> {
        for room_id in rooms {
            if self.joined_room(actor.user, room_id).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a tenant tells another server of a space; `None` for a room that the tenant is not in, or that the server could neither
    /// join nor read.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn space_for_server(
        &self,
        (tenant, server): (&Tenant, &ServerName),
        room_id: &RoomId,
        children: Children,
    ) -> Result<Option<SpaceAnswer>, Unreadable> {
        let Some(mut room) = self.known_space_room(tenant, room_id).await? else { return Ok(None) };
        if !self.is_open_to(server, &room.summary).await? {
            return Ok(None);
        }
        room.children.retain(|child| children == Children::All || child.is_suggested);
        let (mut known, mut inaccessible) = (Vec::new(), Vec::new());
        for child in &room.children {
            let Some(found) = self.known_space_room(tenant, &child.room_id).await? else { continue };
            match self.is_open_to(server, &found.summary).await? {
                true => known.push(found),
                false => inaccessible.push(child.room_id.clone()),
            }
        }
        Ok(Some(SpaceAnswer { room, children: known, inaccessible }))
    }

    async fn known_space_room(
        &self,
        tenant: &Tenant,
        room_id: &RoomId,
    ) -> Result<Option<SpaceRoom>, Unreadable> {
        let Some(room) = self.room_number(room_id).await? else { return Ok(None) };
        if !self.is_in_room(tenant.number(), room).await? {
            return Ok(None);
        }
        let Some(summary) = self.summary(room).await? else { return Ok(None) };
        let children = match summary.room_type.as_deref() {
            Some("m.space") => self.space_children(room).await?,
            _ => Vec::new(),
        };
        Ok(Some(SpaceRoom { summary, children }))
    }

    /// Whether users of a server could join a room, knock on it or read it.
    async fn is_open_to(&self, server: &ServerName, room: &RoomSummary) -> Result<bool, Unreadable> {
        if !self.current_state(room.number).await?.admits(server).await? {
            return Ok(false);
        }
        if room.is_open() || self.server_in(room.number, server).await?.is_some() {
            return Ok(true);
        }
        for room_id in &room.allowed_room_ids {
            if let Some(allowed) = self.room_number(room_id).await?
                && self.server_in(allowed, server).await?.is_some()
            {
                return Ok(true);
            }
        }
        self.has_invited(server, room.number).await
    }

    async fn has_invited(&self, server: &ServerName, room: RoomNumber) -> Result<bool, Unreadable> {
        if let Some(tenant) = self.rooms.0.outside.identities.tenant(server) {
            let prefix = (room, tenant.number());
            let rows =
                self.snapshot.scan_prefix(&LOCAL_MEMBERS, &prefix, Order::Ascending, usize::MAX).await?;
            return Ok(rows.iter().any(|(_, membership)| *membership == Membership::Invite));
        }
        let mut has_invited = false;
        let state = self.current_state(room).await?;
        let is_theirs = |event: &StoredEvent| {
            event.pdu.state_key().and_then(freehold_event::server_name_of) == Some(server.as_str())
        };
        state.each_member(Membership::Invite, |event| has_invited |= is_theirs(event)).await?;
        Ok(has_invited)
    }

    /// The valid `m.space.child` events of a room, in
    /// [order](https://spec.matrix.org/v1.19/client-server-api/#ordering-of-children-within-a-space).
    async fn space_children(&self, room: RoomNumber) -> Result<Vec<SpaceChild>, Unreadable> {
        let entries = self.current_state(room).await?.numbers().await?;
        let keys: Vec<StateKeyNumber> = entries.iter().map(|(key, _)| *key).collect();
        let keys = self.state_keys(&keys).await?;
        let children = entries.iter().zip(keys).filter(|(_, key)| key.0 == "m.space.child");
        let numbers: Vec<EventNumber> =
            children.map(|((_, event), _)| *event).take(SPACE_CHILDREN_MAX).collect();
        let mut children = Vec::with_capacity(numbers.len());
        for event in self.events(&numbers).await? {
            let Some(child) = child_of(&event.pdu) else { continue };
            let order = string_member(event.pdu.content(), "order").filter(|order| is_order(order));
            let order = order.map(Cow::into_owned);
            children.push(((order.is_none(), order, event.pdu.origin_server_ts()), child));
        }
        children.sort_by(|(one, a), (other, b)| one.cmp(other).then_with(|| a.room_id.cmp(&b.room_id)));
        Ok(children.into_iter().map(|(_, child)| child).collect())
    }
}

/// Which children of a space are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// All.
    All,
    /// Those that the space recommends.
    Suggested,
}

impl RoomSummary {
    /// Whether everybody could join it, knock on it or read it.
    pub fn is_open(&self) -> bool {
        matches!(&*self.join_rule, "public" | "knock" | "knock_restricted") || self.world_readable
    }
}

fn child_of(pdu: &freehold_event::Pdu) -> Option<SpaceChild> {
    let room_id = RoomId::parse(pdu.state_key()?).ok()?;
    let list = member(pdu.content(), "via").ok().flatten()?;
    let names = elements(list.text()).filter_map(Result::ok).take(SPACE_VIA_MAX);
    let via: Vec<OwnedServerName> =
        names.filter_map(|name| ServerName::parse(name.as_str()?.as_ref()).ok()).collect();
    // Without a `via` the room is no child, or no longer.
    if via.is_empty() {
        return None;
    }
    let suggested: Option<RawValue<'_>> = member(pdu.content(), "suggested").ok().flatten();
    let content: Value = serde_json::from_str(pdu.content()).ok()?;
    let event = json!({
        "type": "m.space.child",
        "state_key": room_id,
        "content": content,
        "sender": pdu.sender(),
        "origin_server_ts": pdu.origin_server_ts(),
    });
    Some(SpaceChild {
        room_id,
        via,
        event,
        is_suggested: suggested.is_some_and(|value| value.text() == "true"),
    })
}

/// "Strings … consisting of ASCII characters in the range `\x20` to `\x7E` … not longer than 50 characters".
fn is_order(order: &str) -> bool {
    order.len() <= 50 && order.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}
