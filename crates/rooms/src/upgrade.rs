//! Upgrades of rooms
//! (<https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-18>).

use freehold_event::RoomVersion;
use freehold_event_auth::{AuthState, JoinRule};
use freehold_room::Event;
use freehold_store::tables::rooms::{ALIASES, AliasRow, DIRECTORY, Membership, ROOM_ALIASES};
use freehold_store::{Actor, UserNumber};
use ruma_common::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Map, Value, json};

use crate::alias::{aliases_in, content_of};
use crate::create::NewRoom;
use crate::error::ActionError;
use crate::read::{Reader, StoredEvent};
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::{Wanted, Work};

/// What a room is upgraded to.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// The id of the new version.
    pub new_version: String,
    /// Who is a creator of the new room beside the user, in versions that have this.
    pub additional_creators: Vec<OwnedUserId>,
}

/// "The recommended state events to transfer", but for the power levels, which come last so that they do not bind
/// those who set up the room.
const TRANSFERRED: [&str; 8] = [
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
];

impl Rooms {
    /// Replaces a room by a new one of another version; gives the id of the new room. The old room ends and the new one
    /// begins in the same moment, or nothing happens.
    ///
    /// # Errors
    /// [`ActionError::UnsupportedVersion`], [`ActionError::Forbidden`], [`ActionError::MayNot`].
    pub async fn upgrade(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        upgrade: Upgrade,
    ) -> Result<OwnedRoomId, ActionError> {
        tried!(self.try_upgrade(actor, room_id, &upgrade))
    }

    async fn try_upgrade(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        upgrade: &Upgrade,
    ) -> Result<OwnedRoomId, ActionError> {
        let policy = self.0.outside.identities.policy(&actor.tenant).await;
        let place = self.place_for_room(actor, &policy).await?;
        let version = self.version(Some(&upgrade.new_version), &policy)?;
        let mut old = Work::begin_as(self, actor, room_id).await?;
        // "1. Checks that the user has permission to send `m.room.tombstone` events in the room."
        if !old.may_set(actor, "m.room.tombstone").await? {
            return Err(ActionError::MayNot("you have not the power to upgrade the room"));
        }
        // "2. Creates a replacement room with a `m.room.create` event containing a `predecessor` field, the applicable
        // `room_version`, and a `type` field which is copied from the `predecessor` room."
        let fields = old.create_fields(version, upgrade).await?;
        let mut new = NewRoom::begin_with(self, actor, version, fields).await?;
        // "3. Replicates transferable state events to the new room."
        transfer(&mut old, &mut new, (actor, upgrade)).await?;
        // "4. Moves any local aliases to the new room."
        move_aliases(actor, &mut old, &mut new).await?;
        let mut new = new.work;
        let new_id = new.room_id();
        // "5. Sends a `m.room.tombstone` event to the old room to indicate that it is not intended to be used any further."
        let tombstone = json!({ "body": "This room has been replaced", "replacement_room": new_id });
        let tombstone = crate::content::made(&tombstone, old.machine.version())?;
        old.append(&actor.tenant, Wanted::state(&actor.user_id, ("m.room.tombstone", ""), tombstone)).await?;
        // "6. If possible, the power levels in the old room should also be modified."
        old.silence(actor).await?;
        move_listing(actor, &mut old, &mut new).await?;
        old.commit_with(new).await?;
        place.keep();
        Ok(new_id)
    }
}

impl Work {
    /// The content of the create event of the room that replaces this one.
    async fn create_fields(
        &mut self,
        version: &RoomVersion,
        upgrade: &Upgrade,
    ) -> Result<Map<String, Value>, ActionError> {
        let create = self.state_event("m.room.create", "").await?;
        let create = create.ok_or_else(|| ActionError::damaged("a room without a create event"))?;
        let create = json_of(&create);
        let mut predecessor = Map::new();
        predecessor.insert("room_id".to_owned(), self.room_id().as_str().into());
        // "When upgrading to room version 12 or later, the `event_id` property inside `predecessor` MAY be omitted."
        if !version.rules().authorization.room_create_event_id_as_room_id
            && let Some(last) = self.machine.forward_extremities().first()
        {
            let last = self.event_id(*last).await?;
            predecessor.insert("event_id".to_owned(), last.into());
        }
        let mut fields = Map::new();
        fields.insert("predecessor".to_owned(), predecessor.into());
        for key in ["type", "m.federate"] {
            fields.extend(create.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        if version.rules().authorization.additional_room_creators && !upgrade.additional_creators.is_empty() {
            let creators: Vec<Value> =
                upgrade.additional_creators.iter().map(|user| user.as_str().into()).collect();
            fields.insert("additional_creators".to_owned(), creators.into());
        }
        Ok(fields)
    }

    async fn event_id(&mut self, number: u64) -> Result<String, ActionError> {
        Ok(self.event_numbered(number).await?.pdu.event_id().to_string())
    }

    /// "For example, setting `events_default` and `invite` to the greater of `50` and `users_default + 1`."
    async fn silence(&mut self, actor: &Actor) -> Result<(), ActionError> {
        let event = self.state_event("m.room.power_levels", "").await?;
        let mut levels = event.as_deref().map(json_of).unwrap_or_default();
        let level =
            |levels: &Map<String, Value>, key: &str| levels.get(key).and_then(Value::as_i64).unwrap_or(0);
        let silent = 50.max(level(&levels, "users_default").saturating_add(1));
        for key in ["events_default", "invite"] {
            let raised = level(&levels, key).max(silent);
            levels.insert(key.to_owned(), raised.into());
        }
        let content = crate::content::made(&levels.into(), self.machine.version())?;
        let wanted = Wanted::state(&actor.user_id, ("m.room.power_levels", ""), content);
        match self.append(&actor.tenant, wanted).await {
            // Not possible.
            Ok(_) | Err(ActionError::Forbidden(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Who is banned, with the reason.
    async fn bans(&self) -> Result<Vec<(String, Map<String, Value>)>, ActionError> {
        let reader = Reader::new(self.rooms.clone(), self.snapshot.clone());
        let mut bans = Vec::new();
        let state = reader.current_state(self.number).await?;
        let note = |event: &StoredEvent| {
            let Some(user_id) = event.pdu.state_key() else { return };
            let fields: Map<String, Value> = serde_json::from_str(event.pdu.content()).unwrap_or_default();
            let reason = fields.get("reason").map(|reason| ("reason".to_owned(), reason.clone()));
            bans.push((user_id.to_owned(), reason.into_iter().collect()));
        };
        state.each_member(Membership::Ban, note).await?;
        Ok(bans)
    }
}

async fn transfer(
    old: &mut Work,
    new: &mut NewRoom<'_>,
    (actor, upgrade): (&Actor, &Upgrade),
) -> Result<(), ActionError> {
    let version = new.work.machine.version();
    for event_type in TRANSFERRED {
        if let Some(event) = old.state_event(event_type, "").await? {
            let mut content = json_of(&event);
            if event_type == "m.room.join_rules" {
                content = join_rules_for(version, content);
            }
            new.put(event_type, content.into()).await?;
        }
    }
    // Who was banned stays out.
    for (user_id, mut fields) in old.bans().await? {
        fields.insert("membership".to_owned(), "ban".into());
        let content = crate::content::made(&fields.into(), version)?;
        new.add(Wanted::state(&actor.user_id, ("m.room.member", &user_id), content)).await?;
    }
    carry_over(old, new, actor).await?;
    if let Some(event) = old.state_event("m.room.power_levels", "").await? {
        let old_creators = old_creators(old);
        let levels = power_levels_for(version, json_of(&event), (actor, upgrade), &old_creators);
        new.put("m.room.power_levels", levels.into()).await?;
    }
    Ok(())
}

/// How many people are invited to the new room at most.
const INVITED_MAX: usize = 1000;

/// Invites the people of tenants who are in the old room, if they could not come by themselves.
async fn carry_over(old: &mut Work, new: &mut NewRoom<'_>, actor: &Actor) -> Result<(), ActionError> {
    let rule = new.work.machine.facts().join_rule().map(|fact| fact.value);
    if matches!(rule, Some(JoinRule::Public | JoinRule::Restricted | JoinRule::KnockRestricted)) {
        return Ok(());
    }
    let joined: Vec<UserNumber> =
        old.locals.joined().filter(|user| *user != actor.user).take(INVITED_MAX).collect();
    for user_id in old.snapshot.ids_of(&joined).await? {
        let profile = match new.work.profile_of(actor, &user_id).await {
            // Whoever cannot be told finds the new room by the tombstone.
            Err(ActionError::NotReached(_)) => continue,
            profile => profile?,
        };
        let wanted = new.work.member_event(actor, &user_id, ("invite", None), profile)?;
        new.add(wanted).await?;
    }
    Ok(())
}

/// The creators whom the old room's power levels did not bind, and so do not name.
fn old_creators(old: &Work) -> Vec<String> {
    let facts = old.machine.facts();
    let Some(create) = facts.create().filter(|create| create.value.privileges_creators()) else {
        return Vec::new();
    };
    vec![create.value.sender().to_owned()]
}

/// A join rule that the version does not have would let nobody in.
fn join_rules_for(version: &RoomVersion, content: Map<String, Value>) -> Map<String, Value> {
    let rules = &version.rules().authorization;
    let known = match content.get("join_rule").and_then(Value::as_str) {
        Some("knock") => rules.knocking,
        Some("restricted") => rules.restricted_join_rule,
        Some("knock_restricted") => rules.knock_restricted_join_rule,
        _ => true,
    };
    if known { content } else { [("join_rule".to_owned(), "invite".into())].into_iter().collect() }
}

/// The power levels of the old room as the rules of the new version have them.
fn power_levels_for(
    version: &RoomVersion,
    mut levels: Map<String, Value>,
    (actor, upgrade): (&Actor, &Upgrade),
    old_creators: &[String],
) -> Map<String, Value> {
    let privileged = version.rules().authorization.explicitly_privilege_room_creators;
    let mut users = levels.remove("users").and_then(into_object).unwrap_or_default();
    let mut events = levels.remove("events").and_then(into_object).unwrap_or_default();
    if privileged {
        // Creators stand above all levels and must not be named.
        users.retain(|user, _| {
            *user != actor.user_id && !upgrade.additional_creators.iter().any(|creator| creator == user)
        });
        let state_default = levels.get("state_default").and_then(Value::as_i64).unwrap_or(50);
        let tombstone = events.get("m.room.tombstone").and_then(Value::as_i64).unwrap_or(0);
        let above = tombstone.max(150).max(state_default.saturating_add(1));
        events.insert("m.room.tombstone".to_owned(), above.into());
    } else {
        for creator in old_creators {
            users.insert(creator.clone(), CREATOR_LEVEL.into());
        }
        if !users.contains_key(actor.user_id.as_str()) {
            users.insert(actor.user_id.to_string(), CREATOR_LEVEL.into());
        }
        // Nobody gives more power than they have, and the creator has this much.
        for level in users.values_mut().chain(events.values_mut()).chain(levels.values_mut()) {
            if level.as_i64().is_some_and(|level| level > CREATOR_LEVEL) {
                *level = CREATOR_LEVEL.into();
            }
        }
    }
    levels.insert("users".to_owned(), users.into());
    levels.insert("events".to_owned(), events.into());
    levels
}

const CREATOR_LEVEL: i64 = 100;

/// Moves the aliases of the user's tenant, and names them in the new room as they were named in the old one.
async fn move_aliases(actor: &Actor, old: &mut Work, new: &mut NewRoom<'_>) -> Result<(), ActionError> {
    let reader = Reader::new(old.rooms.clone(), old.snapshot.clone());
    let tenant = actor.tenant.number();
    let moved: Vec<OwnedRoomAliasId> = reader.aliases(old.number, tenant).await?;
    for alias in &moved {
        let Some(row) = old.snapshot.get(&ALIASES, alias).await? else { continue };
        let creator = row.creator.clone();
        old.batch.expect_unchanged(&ALIASES, alias, Some(&row));
        old.batch.put(&ALIASES, alias, &AliasRow { room: new.work.number, creator });
        old.batch.delete(&ROOM_ALIASES, &(old.number, tenant, alias.clone()));
        old.batch.put(&ROOM_ALIASES, &(new.work.number, tenant, alias.clone()), &());
    }
    let is_moved = |named: &str| moved.iter().any(|alias| alias.as_str() == named);
    let Some(event) = old.state_event("m.room.canonical_alias", "").await? else {
        return Ok(());
    };
    let named = aliases_in(&content_of(&event));
    let main = json_of(&event).get("alias").and_then(Value::as_str).map(str::to_owned);
    let kept: Vec<&String> = named.iter().filter(|alias| is_moved(alias)).collect();
    if kept.is_empty() || !old.may_name(actor).await? {
        return Ok(());
    }
    let mut content = Map::new();
    content.extend(main.filter(|alias| is_moved(alias)).map(|alias| ("alias".to_owned(), alias.into())));
    let main = content.get("alias").cloned();
    let others: Vec<Value> = kept
        .into_iter()
        .map(|alias| alias.as_str().into())
        .filter(|alias| Some(alias) != main.as_ref())
        .collect();
    content.insert("alt_aliases".to_owned(), others.into());
    let content = crate::content::made(&content.into(), new.work.machine.version())?;
    let wanted = Wanted::state(&actor.user_id, ("m.room.canonical_alias", ""), content);
    // They lead to the new room once this is durable.
    new.append(wanted).await?;
    old.drop_canonical(actor, is_moved).await?;
    Ok(())
}

/// The tenant's directory lists the new room in the place of the old one.
async fn move_listing(actor: &Actor, old: &mut Work, new: &mut Work) -> Result<(), ActionError> {
    let tenant = actor.tenant.number();
    if old.snapshot.get(&DIRECTORY, &(tenant, old.number)).await?.is_some() {
        old.batch.delete(&DIRECTORY, &(tenant, old.number));
        new.batch.put(&DIRECTORY, &(tenant, new.number), &());
    }
    Ok(())
}

fn json_of(event: &Event) -> Map<String, Value> {
    serde_json::from_str(event.pdu.content()).unwrap_or_default()
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_rule_that_a_version_does_not_have_becomes_invite() {
        let rules = |rule: &str| -> Map<String, Value> {
            [("join_rule".to_owned(), rule.into())].into_iter().collect()
        };
        for (version, rule, expected) in [
            (RoomVersion::V6, "knock", "invite"),
            (RoomVersion::V7, "knock", "knock"),
            (RoomVersion::V7, "restricted", "invite"),
            (RoomVersion::V9, "knock_restricted", "invite"),
            (RoomVersion::V10, "knock_restricted", "knock_restricted"),
            (RoomVersion::V1, "public", "public"),
        ] {
            assert_eq!(join_rules_for(version, rules(rule)), rules(expected), "{version} {rule}");
        }
    }
}
