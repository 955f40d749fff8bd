//! Room aliases
//! (<https://spec.matrix.org/v1.19/client-server-api/#room-aliases>).

use std::collections::BTreeSet;

use freehold_canonical_json::{Limits, Object, Value, parse};
use freehold_event_auth::Power;
use freehold_room::Event;
use freehold_store::tables::rooms::{ALIASES, AliasRow, MEMBERSHIPS, Membership, ROOM_ALIASES};
use freehold_store::{Actor, Batch, Order, RoomNumber, Tenant, TenantNumber};
use ruma_common::{OwnedRoomAliasId, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId};

use crate::error::ActionError;
use crate::limits::FOREIGN_ALIASES_MAX;
use crate::outside::{ResolvedAlias, Unanswered};
use crate::read::{Reader, Unreadable};
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::{Wanted, Work};

impl Rooms {
    /// The room to which an alias of a tenant of this process leads, as far as the tenant that asks speaks with that one.
    ///
    /// # Errors
    /// [`ActionError::UnknownAlias`].
    pub async fn resolve_alias(
        &self,
        asker: &Tenant,
        alias: &RoomAliasId,
    ) -> Result<OwnedRoomId, ActionError> {
        let unknown = || ActionError::UnknownAlias(alias.to_owned());
        if self.reached(asker, alias.server_name()).is_none() {
            return Err(unknown());
        }
        let snapshot = self.0.store.snapshot()?;
        let row = snapshot.get(&ALIASES, &alias.to_owned()).await?.ok_or_else(unknown)?;
        Ok(snapshot.id_of(row.room).await?)
    }

    /// The room to which an alias of anybody leads, and servers that are in it, as its server says.
    ///
    /// # Errors
    /// [`ActionError::UnknownAlias`]; [`ActionError::Refused`] when its server does not answer.
    pub async fn find_alias(
        &self,
        tenant: &Tenant,
        alias: &RoomAliasId,
    ) -> Result<ResolvedAlias, ActionError> {
        let server = alias.server_name();
        if self.0.outside.identities.tenant(server).is_none() {
            if !self.0.outside.identities.speak(tenant, server) {
                return Err(ActionError::UnknownAlias(alias.to_owned()));
            }
            let found = self.0.outside.remote.directory(tenant, server, alias).await;
            return found.map_err(|answer| match answer {
                Unanswered::Refused { status: 404, .. } => ActionError::UnknownAlias(alias.to_owned()),
                answer => ActionError::Refused { server: server.to_owned(), answer },
            });
        }
        let room_id = self.resolve_alias(tenant, alias).await?;
        let reader = self.reader()?;
        let servers = match reader.room_number(&room_id).await? {
            Some(room) => reader.servers_in(room).await?,
            None => Vec::new(),
        };
        let mut servers: Vec<OwnedServerName> = servers.into_iter().map(|(server, _)| server).collect();
        // The server of the alias answers for it, and is the likeliest to be reached.
        servers.sort_by_key(|other| other != server);
        Ok(ResolvedAlias { room_id, servers })
    }

    /// Whether all of some aliases lead to a room, as their servers say.
    async fn check_aliases(
        &self,
        tenant: &Tenant,
        room_id: &RoomId,
        aliases: &BTreeSet<String>,
    ) -> Result<(), ActionError> {
        let bad = |alias: &str| ActionError::BadAlias(alias.to_owned());
        let mut servers_asked = 0;
        for alias in aliases {
            let id = RoomAliasId::parse(alias).map_err(|_| bad(alias))?;
            if self.0.outside.identities.tenant(id.server_name()).is_none() {
                servers_asked += 1;
            }
            if servers_asked > FOREIGN_ALIASES_MAX {
                let reason = format!("names more than {FOREIGN_ALIASES_MAX} new aliases of other servers");
                return Err(ActionError::BadField { field: "content", reason });
            }
            match self.find_alias(tenant, &id).await {
                Ok(found) if found.room_id == room_id => {}
                Ok(_) | Err(ActionError::UnknownAlias(_)) => return Err(bad(alias)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes an alias of the user's tenant lead to a room that the user is in.
    ///
    /// # Errors
    /// [`ActionError::ForeignAlias`], [`ActionError::AliasTaken`], [`ActionError::NotInRoom`].
    pub async fn create_alias(
        &self,
        actor: &Actor,
        alias: &RoomAliasId,
        room_id: &RoomId,
    ) -> Result<(), ActionError> {
        tried!(self.try_create_alias(actor, alias, room_id))
    }

    async fn try_create_alias(
        &self,
        actor: &Actor,
        alias: &RoomAliasId,
        room_id: &RoomId,
    ) -> Result<(), ActionError> {
        if alias.server_name() != actor.tenant.server_name() {
            return Err(ActionError::ForeignAlias(alias.to_string()));
        }
        let snapshot = self.0.store.snapshot()?;
        let room = snapshot.number_of(&room_id.to_owned()).await?.ok_or(ActionError::NotInRoom)?;
        let member = snapshot.get(&MEMBERSHIPS, &(actor.user, room)).await?;
        if member.is_none_or(|row| row.membership != Membership::Join) {
            return Err(ActionError::NotInRoom);
        }
        let alias = alias.to_owned();
        if snapshot.get(&ALIASES, &alias).await?.is_some() {
            return Err(ActionError::AliasTaken(alias));
        }
        let mut batch = Batch::new();
        put_alias(&mut batch, room, actor, &alias);
        self.0.store.commit(batch).await?;
        Ok(())
    }

    /// Takes an alias away: its creator may, and who may set the canonical alias of the room. If the room names it as
    /// its canonical alias and the user may change that, it no longer does.
    ///
    /// # Errors
    /// [`ActionError::UnknownAlias`], [`ActionError::MayNot`].
    pub async fn delete_alias(&self, actor: &Actor, alias: &RoomAliasId) -> Result<(), ActionError> {
        tried!(self.try_delete_alias(actor, alias))
    }

    async fn try_delete_alias(&self, actor: &Actor, alias: &RoomAliasId) -> Result<(), ActionError> {
        let alias = alias.to_owned();
        let unknown = || ActionError::UnknownAlias(alias.clone());
        if alias.server_name() != actor.tenant.server_name() {
            return Err(unknown());
        }
        let snapshot = self.0.store.snapshot()?;
        let row = snapshot.get(&ALIASES, &alias).await?.ok_or_else(unknown)?;
        let room_id = snapshot.id_of(row.room).await?;
        let mut work = Work::begin(self, &room_id).await?;
        let may_name = work.may_name(actor).await?;
        if row.creator != actor.user_id && !may_name {
            return Err(ActionError::MayNot("you did not make this alias"));
        }
        let mut batch = Batch::new();
        batch.expect_unchanged(&ALIASES, &alias, Some(&row));
        batch.delete(&ALIASES, &alias);
        batch.delete(&ROOM_ALIASES, &(row.room, actor.tenant.number(), alias.clone()));
        if may_name && work.drop_canonical(actor, |named| named == alias.as_str()).await? {
            work.batch.append(batch);
            return work.commit().await;
        }
        self.0.store.commit(batch).await?;
        Ok(())
    }
}

impl Reader {
    /// The aliases of a room that belong to a tenant.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn aliases(
        &self,
        room: RoomNumber,
        tenant: TenantNumber,
    ) -> Result<Vec<OwnedRoomAliasId>, Unreadable> {
        let rows =
            self.snapshot.scan_prefix(&ROOM_ALIASES, &(room, tenant), Order::Ascending, usize::MAX).await?;
        Ok(rows.into_iter().map(|((_, _, alias), ())| alias).collect())
    }
}

/// Writes that an alias leads to a room.
pub(crate) fn put_alias(batch: &mut Batch, room: RoomNumber, actor: &Actor, alias: &OwnedRoomAliasId) {
    batch.expect_absent(&ALIASES, alias);
    batch.put(&ALIASES, alias, &AliasRow { room, creator: actor.user_id.clone() });
    batch.put(&ROOM_ALIASES, &(room, actor.tenant.number(), alias.clone()), &());
}

impl Work {
    /// Whether a user is in the room and has the power to set its canonical alias: then the user also decides about
    /// aliases and directories.
    pub(crate) async fn may_name(&mut self, actor: &Actor) -> Result<bool, ActionError> {
        self.may_set(actor, "m.room.canonical_alias").await
    }

    /// Whether a user is in the room and has the power to set a kind of state.
    pub(crate) async fn may_set(&mut self, actor: &Actor, event_type: &str) -> Result<bool, ActionError> {
        let member = self.state_event("m.room.member", actor.user_id.as_str()).await?;
        let joined = member.as_deref().and_then(crate::write::membership_of) == Some(Membership::Join);
        let needed = Power::Level(self.power_levels().required_level(event_type, Some("")));
        Ok(joined && self.power(actor.user_id.as_str()) >= needed)
    }

    /// Takes aliases out of the canonical alias event; tells whether there was anything to take.
    pub(crate) async fn drop_canonical(
        &mut self,
        actor: &Actor,
        is_dropped: impl Fn(&str) -> bool,
    ) -> Result<bool, ActionError> {
        let Some(event) = self.state_event("m.room.canonical_alias", "").await? else {
            return Ok(false);
        };
        let mut content = content_of(&event);
        let dropped = |value: &Value<'_>| value.as_str().is_some_and(&is_dropped);
        let named = content.get("alias").is_some_and(dropped);
        let listed =
            content.get("alt_aliases").and_then(Value::as_array).is_some_and(|list| list.iter().any(dropped));
        if !named && !listed {
            return Ok(false);
        }
        if named {
            content.remove("alias");
        }
        if let Some(list) = content.get_mut("alt_aliases").and_then(Value::as_array_mut) {
            list.retain(|alias| !dropped(alias));
        }
        let wanted = Wanted::state(&actor.user_id, ("m.room.canonical_alias", ""), content);
        self.append(&actor.tenant, wanted).await?;
        Ok(true)
    }

    /// Aliases that a canonical alias event names for the first time must lead to the room
    /// (`M_BAD_ALIAS`, <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey>).
    /// Others write to the room while the servers of the aliases are asked.
    pub(crate) async fn check_canonical_alias(
        &mut self,
        actor: &Actor,
        content: &Object<'_>,
    ) -> Result<(), ActionError> {
        let before = self.state_event("m.room.canonical_alias", "").await?;
        let before = before.map(|event| aliases_in(&content_of(&event))).unwrap_or_default();
        let new: BTreeSet<String> =
            aliases_in(content).into_iter().filter(|alias| !before.contains(alias)).collect();
        let Some(first) = new.first() else { return Ok(()) };
        // No alias leads to a room that is not there yet.
        if self.row.is_none() {
            return Err(ActionError::BadAlias(first.clone()));
        }
        // The rules refuse the event of who may not name the room; nobody is asked for it.
        if !self.may_name(actor).await? {
            return Ok(());
        }
        let (rooms, room_id) = (self.rooms.clone(), self.room_id());
        self.while_open(rooms.check_aliases(&actor.tenant, &room_id, &new)).await?
    }
}

/// The aliases that the content of a canonical alias event names.
pub(crate) fn aliases_in(content: &Object<'_>) -> Vec<String> {
    let single = content.get("alias").into_iter();
    let listed = content.get("alt_aliases").and_then(Value::as_array).into_iter().flatten();
    single
        .chain(listed)
        .filter_map(Value::as_str)
        .filter(|alias| !alias.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The content of an event, to be changed.
pub(crate) fn content_of(event: &Event) -> Object<'static> {
    let parsed = parse(event.pdu.content().as_bytes(), &Limits::RELAXED).ok().and_then(Value::into_object);
    parsed.map(Object::into_owned).unwrap_or_default()
}
