//! Creating rooms.

use freehold_canonical_json::Object;
use freehold_event::RoomVersion;
use freehold_store::tables::rooms::{ALIASES, DIRECTORY, TENANT_ROOMS};
use freehold_store::{Actor, Place, Tenant};
use ruma_common::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomAliasId, RoomId};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::alias::put_alias;
use crate::content;
use crate::error::ActionError;
use crate::policy::RoomPolicy;
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::{Wanted, Work};

/// A room that a user wants to create
/// (<https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom>).
#[derive(Clone, Debug, Default)]
pub struct CreateRoom {
    /// What the room is for; `None` to let the visibility decide.
    pub preset: Option<Preset>,
    /// Whether the tenant's directory lists the room.
    pub visibility: Visibility,
    /// The local part of an alias.
    pub alias_localpart: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The topic.
    pub topic: Option<String>,
    /// Who is invited.
    pub invite: Vec<OwnedUserId>,
    /// Whether the invited are to take the room for a conversation of two.
    pub is_direct: bool,
    /// The id of the room version; `None` for the server's default.
    pub room_version: Option<String>,
    /// What else goes into the create event, as an object.
    pub creation_content: Option<Box<RawValue>>,
    /// State events of the room, in order.
    pub initial_state: Vec<InitialState>,
    /// What replaces members of the power levels, as an object.
    pub power_level_content_override: Option<Box<RawValue>>,
}

/// A state event of a new room.
#[derive(Clone, Debug)]
pub struct InitialState {
    /// The event type.
    pub event_type: String,
    /// The state key.
    pub state_key: String,
    /// The content.
    pub content: Box<RawValue>,
}

/// What a room is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// By invitation only.
    PrivateChat,
    /// By invitation only, and the invited may do what the creator may.
    TrustedPrivateChat,
    /// For everybody.
    PublicChat,
}

/// Whether a directory lists a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// It does not.
    #[default]
    Private,
    /// It does.
    Public,
}

impl CreateRoom {
    fn preset(&self) -> Preset {
        self.preset.unwrap_or(match self.visibility {
            Visibility::Private => Preset::PrivateChat,
            Visibility::Public => Preset::PublicChat,
        })
    }

    fn has_initial(&self, event_type: &str) -> bool {
        self.initial_state.iter().any(|state| state.event_type == event_type && state.state_key.is_empty())
    }
}

impl Rooms {
    /// Creates a room, with everything that was asked for, in one change.
    ///
    /// # Errors
    /// [`ActionError`]; there is no room then.
    pub async fn create_room(&self, actor: &Actor, create: CreateRoom) -> Result<OwnedRoomId, ActionError> {
        tried!(self.try_create(actor, &create))
    }

    async fn try_create(&self, actor: &Actor, create: &CreateRoom) -> Result<OwnedRoomId, ActionError> {
        let policy = self.0.outside.identities.policy(&actor.tenant).await;
        let place = self.place_for_room(actor, &policy).await?;
        if create.visibility == Visibility::Public && !policy.has_directory {
            return Err(ActionError::SwitchedOff("directory"));
        }
        let version = self.version(create.room_version.as_deref(), &policy)?;
        let alias =
            create.alias_localpart.as_deref().map(|name| alias_of(&actor.tenant, name)).transpose()?;
        let mut new = NewRoom::begin(self, actor, version, create).await?;
        new.fill(create, alias.as_ref()).await.map_err(|error| match error {
            ActionError::Forbidden(_) => ActionError::InvalidState(Box::new(error)),
            error => error,
        })?;
        let mut work = new.work;
        if let Some(alias) = &alias {
            if work.snapshot.get(&ALIASES, alias).await?.is_some() {
                return Err(ActionError::AliasTaken(alias.clone()));
            }
            put_alias(&mut work.batch, work.number, actor, alias);
        }
        if create.visibility == Visibility::Public {
            work.batch.put(&DIRECTORY, &(actor.tenant.number(), work.number), &());
        }
        let room_id = work.room_id();
        work.commit().await?;
        place.keep();
        self.invite_others(actor, create, &room_id).await;
        Ok(room_id)
    }

    /// Invites the users of other servers into a new room. The room is there: whom no invite reached can be invited again.
    async fn invite_others(&self, actor: &Actor, create: &CreateRoom, room_id: &RoomId) {
        for invitee in create.invite.iter().filter(|invitee| self.is_foreign(invitee)) {
            let mut content: Object<'static> = [("membership", "invite")].into_iter().collect();
            if create.is_direct {
                content.insert("is_direct", true);
            }
            let users = (&*actor.user_id, &**invitee);
            let _unreached = self.invite_elsewhere(&actor.tenant, room_id, users, content).await;
        }
    }

    /// A place for one more room, if the policy of the user's tenant leaves one.
    pub(crate) async fn place_for_room(
        &self,
        actor: &Actor,
        policy: &RoomPolicy,
    ) -> Result<Place<'_>, ActionError> {
        if !policy.may_create {
            return Err(ActionError::SwitchedOff("room_creation"));
        }
        let (max, snapshot) = (policy.rooms_max, self.0.store.snapshot()?);
        let place = self.0.places.take(&snapshot, actor.tenant.number(), max).await?;
        place.ok_or(ActionError::TooManyRooms { max: max.unwrap_or_default() })
    }

    /// The version of a new room.
    pub(crate) fn version(
        &self,
        id: Option<&str>,
        policy: &RoomPolicy,
    ) -> Result<&'static RoomVersion, ActionError> {
        match id {
            None => Ok(policy.default_version.unwrap_or(self.0.settings.default_version)),
            Some(id) => RoomVersion::find(id).ok_or_else(|| ActionError::UnsupportedVersion(id.to_owned())),
        }
    }
}

/// A room that is being created.
pub(crate) struct NewRoom<'a> {
    pub(crate) work: Work,
    actor: &'a Actor,
    version: &'static RoomVersion,
    ts: i64,
}

impl<'a> NewRoom<'a> {
    async fn begin(
        rooms: &Rooms,
        actor: &'a Actor,
        version: &'static RoomVersion,
        create: &CreateRoom,
    ) -> Result<Self, ActionError> {
        let mut fields = match &create.creation_content {
            Some(content) => content::editable("creation_content", content)?,
            None => Map::new(),
        };
        if create.preset() == Preset::TrustedPrivateChat {
            add_creators(&mut fields, version, actor, &create.invite);
        }
        Self::begin_with(rooms, actor, version, fields).await
    }

    /// Makes the create event and joins the creator.
    pub(crate) async fn begin_with(
        rooms: &Rooms,
        actor: &'a Actor,
        version: &'static RoomVersion,
        mut fields: Map<String, Value>,
    ) -> Result<Self, ActionError> {
        fields.insert("room_version".to_owned(), version.id().into());
        fields.remove("creator");
        if !version.rules().authorization.use_room_create_sender {
            fields.insert("creator".to_owned(), actor.user_id.as_str().into());
        }
        let ts = rooms.create_ts();
        let content = content::made(&fields.into(), version)?;
        let mut wanted = Wanted::state(&actor.user_id, ("m.room.create", ""), content);
        wanted.origin_server_ts = ts;
        let work = Work::create(rooms, &actor.tenant, version, wanted).await?;
        let mut new = NewRoom { work, actor, version, ts };
        new.work.batch.put(&TENANT_ROOMS, &(actor.tenant.number(), new.work.number), &());
        let profile = rooms.0.outside.profiles.member_profile(&actor.tenant, &actor.user_id).await;
        let member = new.work.member_event(actor, &actor.user_id, ("join", None), profile)?;
        new.add(member).await?;
        Ok(new)
    }

    /// Adds the events in the order of the specification.
    async fn fill(
        &mut self,
        create: &CreateRoom,
        alias: Option<&OwnedRoomAliasId>,
    ) -> Result<(), ActionError> {
        let levels = self.power_levels(create)?;
        self.put("m.room.power_levels", levels.into()).await?;
        if let Some(alias) = alias {
            let content = content::made(&json!({ "alias": alias }), self.version)?;
            let wanted = Wanted::state(&self.actor.user_id, ("m.room.canonical_alias", ""), content);
            // The alias comes with the room, so that it does not lead there yet.
            self.append(wanted).await?;
        }
        self.fill_preset(create).await?;
        for state in &create.initial_state {
            let overridden = (state.event_type == "m.room.name" && create.name.is_some())
                || (state.event_type == "m.room.topic" && create.topic.is_some());
            if !(overridden && state.state_key.is_empty()) {
                let content = content::sent(&state.content, self.version)?;
                let key = (state.event_type.as_str(), state.state_key.as_str());
                self.add(Wanted::state(&self.actor.user_id, key, content)).await?;
            }
        }
        if let Some(name) = &create.name {
            self.put("m.room.name", json!({ "name": name })).await?;
        }
        if let Some(topic) = &create.topic {
            let texts = json!({ "m.text": [{ "body": topic }] });
            self.put("m.room.topic", json!({ "topic": topic, "m.topic": texts })).await?;
        }
        for invitee in &create.invite {
            // Those of other servers are invited when there is the room.
            if !self.work.rooms.is_foreign(invitee) {
                self.invite(invitee, create.is_direct).await?;
            }
        }
        Ok(())
    }

    async fn fill_preset(&mut self, create: &CreateRoom) -> Result<(), ActionError> {
        let (join_rule, guest_access) = match create.preset() {
            Preset::PrivateChat | Preset::TrustedPrivateChat => ("invite", "can_join"),
            Preset::PublicChat => ("public", "forbidden"),
        };
        for (event_type, content) in [
            ("m.room.join_rules", json!({ "join_rule": join_rule })),
            ("m.room.history_visibility", json!({ "history_visibility": "shared" })),
            ("m.room.guest_access", json!({ "guest_access": guest_access })),
        ] {
            if !create.has_initial(event_type) {
                self.put(event_type, content).await?;
            }
        }
        Ok(())
    }

    async fn invite(&mut self, invitee: &OwnedUserId, is_direct: bool) -> Result<(), ActionError> {
        let mut fields = self.work.profile_of(self.actor, invitee).await?;
        if is_direct {
            fields.insert("is_direct".to_owned(), true.into());
        }
        let wanted = self.work.member_event(self.actor, invitee, ("invite", None), fields)?;
        self.add(wanted).await
    }

    /// Adds a state event with an empty state key.
    pub(crate) async fn put(&mut self, event_type: &str, content: Value) -> Result<(), ActionError> {
        let content = content::made(&content, self.version)?;
        self.add(Wanted::state(&self.actor.user_id, (event_type, ""), content)).await
    }

    pub(crate) async fn add(&mut self, wanted: Wanted) -> Result<(), ActionError> {
        self.work.append_any(self.actor, self.timed(wanted)).await.map(|_| ())
    }

    /// Adds an event that needs no looking at.
    pub(crate) async fn append(&mut self, wanted: Wanted) -> Result<(), ActionError> {
        self.work.append(&self.actor.tenant, self.timed(wanted)).await.map(|_| ())
    }

    fn timed(&self, wanted: Wanted) -> Wanted {
        Wanted { origin_server_ts: self.ts, ..wanted }
    }

    /// The power levels of a new room, with what the user overrides.
    fn power_levels(&self, create: &CreateRoom) -> Result<Map<String, Value>, ActionError> {
        let mut levels = default_power_levels(self.version);
        let privileged = self.version.rules().authorization.explicitly_privilege_room_creators;
        let mut users = Map::new();
        if !privileged {
            users.insert(self.actor.user_id.to_string(), CREATOR_LEVEL.into());
            if create.preset() == Preset::TrustedPrivateChat {
                users.extend(create.invite.iter().map(|user| (user.to_string(), CREATOR_LEVEL.into())));
            }
        }
        levels.insert("users".to_owned(), users.into());
        if create.preset() == Preset::PublicChat {
            levels.insert("invite".to_owned(), 50.into());
        }
        if let Some(overrides) = &create.power_level_content_override {
            levels.extend(content::editable("power_level_content_override", overrides)?);
        }
        Ok(levels)
    }
}

const CREATOR_LEVEL: i64 = 100;

/// The power levels of a room that nobody has said anything about.
///
/// "If the room's version is 12 or higher, the power level for sending `m.room.tombstone` events MUST explicitly be
/// higher than `state_default`. For example, set to 150 instead of 100."
fn default_power_levels(version: &RoomVersion) -> Map<String, Value> {
    let tombstone = match version.rules().authorization.explicitly_privilege_room_creators {
        true => 150,
        false => 100,
    };
    let levels = json!({
        "users_default": 0,
        "events_default": 0,
        "state_default": 50,
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": 0,
        "events": {
            "m.room.name": 50,
            "m.room.avatar": 50,
            "m.room.canonical_alias": 50,
            "m.room.power_levels": 100,
            "m.room.history_visibility": 100,
            "m.room.encryption": 100,
            "m.room.server_acl": 100,
            "m.room.tombstone": tombstone,
        },
    });
    match levels {
        Value::Object(levels) => levels,
        _ => Map::new(),
    }
}

/// "When using the `trusted_private_chat` preset, the server SHOULD combine `additional_creators` specified here and
/// the `invite` array into the eventual `m.room.create` event's `additional_creators`, deduplicating between the two
/// parameters."
fn add_creators(
    fields: &mut Map<String, Value>,
    version: &RoomVersion,
    actor: &Actor,
    invite: &[OwnedUserId],
) {
    if !version.rules().authorization.additional_room_creators {
        return;
    }
    let creators = fields.entry("additional_creators").or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(creators) = creators else {
        return;
    };
    for user in invite.iter().filter(|user| **user != actor.user_id) {
        let user = Value::from(user.as_str());
        if !creators.contains(&user) {
            creators.push(user);
        }
    }
}

/// The alias of a tenant with this local part.
fn alias_of(tenant: &Tenant, localpart: &str) -> Result<OwnedRoomAliasId, ActionError> {
    let bad = |reason: &str| ActionError::BadField { field: "room_alias_name", reason: reason.to_owned() };
    if localpart.is_empty() || localpart.contains([':', '\0']) || localpart.chars().any(char::is_whitespace) {
        return Err(bad("no local part of a room alias"));
    }
    RoomAliasId::parse(format!("#{localpart}:{}", tenant.server_name())).map_err(|_| bad("too long"))
}
