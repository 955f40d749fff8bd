//! Tenants, people and rooms over a store in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use freehold_keyring::Purpose;
use freehold_rooms::{
    CreateRoom, Entry, Identities, MemberAction, NewEvent, NoProfiles, Outside, Reader, RemoteServers,
    Retention, RoomPolicy, Rooms, RoomsSettings, SigningError, StoredEvent, Viewer,
};
use freehold_signing::{KeyId, KeyValidity, ServerSigner, Signer, SigningKey, VerifyingKey};
use freehold_store::{
    Actor, Batch, BoxFuture, Clock, DeviceNumber, Interner, MemoryEngine, Order, RoomNumber, Store, Tenant,
    TenantNumber,
};
use ruma_common::{OwnedEventId, OwnedRoomId, RoomId, ServerName, UserId};
use serde_json::{Value, json};

/// Tenants with one key each, and what they have settled.
pub(crate) struct Hosted {
    tenants: BTreeMap<String, (Tenant, [u8; 32])>,
    policies: Mutex<BTreeMap<TenantNumber, RoomPolicy>>,
    /// Pairs of servers that do not speak with each other.
    silent: Mutex<Vec<[String; 2]>>,
    departed: Mutex<Vec<TenantNumber>>,
}

impl Hosted {
    /// Has a tenant settle something about rooms.
    pub(crate) fn settle(&self, tenant: &Tenant, policy: RoomPolicy) {
        self.policies.lock().unwrap().insert(tenant.number(), policy);
    }

    /// Has a tenant depart, as far as retention is concerned.
    pub(crate) fn depart(&self, tenant: &Tenant) {
        self.departed.lock().unwrap().push(tenant.number());
    }

    /// Has two servers speak with each other no more.
    pub(crate) fn silence(&self, one: &str, other: &str) {
        self.silent.lock().unwrap().push([one.to_owned(), other.to_owned()]);
    }

    fn key(&self, tenant: &Tenant) -> SigningKey {
        SigningKey::from_seed(&self.tenants[tenant.server_name().as_str()].1)
    }
}

impl Identities for Hosted {
    fn tenant(&self, server_name: &ServerName) -> Option<Tenant> {
        self.tenants.get(server_name.as_str()).map(|(tenant, _)| tenant.clone())
    }

    fn signer(
        &self,
        tenant: &Tenant,
        purpose: Purpose<'_>,
        _: i64,
    ) -> Result<Box<dyn Signer + Send + Sync>, SigningError> {
        let user = match purpose {
            Purpose::Event { sender } => sender,
            Purpose::Membership { user } => user,
            _ => return Err(SigningError("not what rooms sign for".into())),
        };
        if !tenant.owns(user) {
            return Err(SigningError("a user of somebody else".into()));
        }
        let key_id = KeyId::parse("ed25519:1").unwrap();
        Ok(Box::new(ServerSigner::new(tenant.server_name().to_owned(), key_id, self.key(tenant))))
    }

    fn published_key(&self, tenant: &Tenant, _: &KeyId, now_ts: i64) -> Option<(VerifyingKey, KeyValidity)> {
        let validity = KeyValidity::Current { valid_until_ts: now_ts + 3_600_000 };
        Some((self.key(tenant).verifying_key().clone(), validity))
    }

    fn policy<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, RoomPolicy> {
        let policy = self.policies.lock().unwrap().get(&tenant.number()).cloned().unwrap_or_default();
        Box::pin(std::future::ready(policy))
    }

    fn retention(&self, tenant: TenantNumber) -> BoxFuture<'_, Option<Retention>> {
        let policy = self.policies.lock().unwrap().get(&tenant).cloned().unwrap_or_default();
        let departed = self.departed.lock().unwrap().contains(&tenant);
        Box::pin(std::future::ready((!departed).then_some(policy.retention)))
    }

    fn some_forget(&self) -> bool {
        self.policies.lock().unwrap().values().any(|policy| policy.retention != Retention::FOREVER)
    }

    fn speak(&self, tenant: &Tenant, server: &ServerName) -> bool {
        let (one, other) = (tenant.server_name().as_str(), server.as_str());
        let silent = self.silent.lock().unwrap();
        !silent.iter().any(|[a, b]| (a == one && b == other) || (a == other && b == one))
    }
}

/// A clock that moves on by a millisecond whenever it is looked at.
pub(crate) struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now_ts(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

pub(crate) struct World {
    pub(crate) remote: Arc<dyn RemoteServers>,
    pub(crate) rooms: Rooms,
    pub(crate) store: Store,
    pub(crate) interner: Interner,
    pub(crate) hosted: Arc<Hosted>,
}

impl World {
    pub(crate) async fn new(servers: &[&str]) -> Self {
        Self::over(Arc::new(MemoryEngine::new()), servers).await
    }

    /// Tenants over an engine.
    pub(crate) async fn over(engine: Arc<dyn freehold_store::Engine>, servers: &[&str]) -> Self {
        Self::among(engine, servers, Arc::new(freehold_rooms::NoRemoteServers)).await
    }

    /// Tenants over an engine, and other servers.
    pub(crate) async fn among(
        engine: Arc<dyn freehold_store::Engine>,
        servers: &[&str],
        remote: Arc<dyn RemoteServers>,
    ) -> Self {
        let tenants = servers.iter().zip(1..).map(|(name, number)| {
            let tenant = Tenant::new(TenantNumber(number), ServerName::parse(*name).unwrap().to_owned());
            let mut seed = [7; 32];
            seed.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
            ((*name).to_owned(), (tenant, seed))
        });
        let hosted = Arc::new(Hosted {
            tenants: tenants.collect(),
            policies: Mutex::default(),
            silent: Mutex::default(),
            departed: Mutex::default(),
        });
        let store = Store::open(engine).await.unwrap();
        let interner = Interner::new(&store);
        let rooms = Self::open(&store, &interner, &hosted, &remote);
        World { remote, rooms, store, interner, hosted }
    }

    /// The same store, opened anew: nothing is in memory.
    pub(crate) fn reopened(&self) -> Rooms {
        Self::open(&self.store, &Interner::new(&self.store), &self.hosted, &self.remote)
    }

    /// The same store, opened anew, as of somebody who joins rooms of others with a few of their members.
    pub(crate) fn omitting(&self) -> Rooms {
        let settings = RoomsSettings { omits_members: true, ..RoomsSettings::default() };
        Rooms::new(self.store.clone(), Interner::new(&self.store), self.outside(), settings)
    }

    /// The same as of somebody who joins rooms with all of their members, at a time.
    pub(crate) fn entire_at(&self, now_ts: i64) -> Rooms {
        let settings = RoomsSettings { omits_members: false, ..RoomsSettings::default() };
        let outside = Outside { clock: Arc::new(now_ts), ..self.outside() };
        Rooms::new(self.store.clone(), Interner::new(&self.store), outside, settings)
    }

    fn open(
        store: &Store,
        interner: &Interner,
        hosted: &Arc<Hosted>,
        remote: &Arc<dyn RemoteServers>,
    ) -> Rooms {
        let outside = Self::around(hosted, remote);
        Rooms::new(store.clone(), interner.clone(), outside, RoomsSettings::default())
    }

    /// What rooms of these tenants ask of others.
    pub(crate) fn outside(&self) -> Outside {
        Self::around(&self.hosted, &self.remote)
    }

    fn around(hosted: &Arc<Hosted>, remote: &Arc<dyn RemoteServers>) -> Outside {
        Outside {
            identities: Arc::clone(hosted) as Arc<dyn Identities>,
            profiles: Arc::new(NoProfiles),
            remote: Arc::clone(remote),
            clock: Arc::new(Ticking(AtomicI64::new(1_767_225_600_000))),
        }
    }

    pub(crate) async fn actor(&self, user_id: &str) -> Actor {
        let user_id = UserId::parse(user_id).unwrap();
        let tenant = self.hosted.tenant(user_id.server_name()).unwrap();
        let mut batch = Batch::new();
        let snapshot = self.store.snapshot().unwrap();
        let user = self.interner.number_of(&snapshot, &user_id, &mut batch).await.unwrap();
        drop(snapshot);
        self.store.commit(batch).await.unwrap();
        Actor { tenant, user_id, user, device: Some(DeviceNumber(user.0)) }
    }

    pub(crate) fn reader(&self) -> Reader {
        self.rooms.reader().unwrap()
    }

    pub(crate) async fn number(&self, room_id: &RoomId) -> RoomNumber {
        self.reader().room_number(room_id).await.unwrap().unwrap()
    }

    /// The contents of a state event of a room, `None` when there is none.
    pub(crate) async fn state(&self, room_id: &RoomId, event_type: &str, state_key: &str) -> Option<Value> {
        let reader = self.reader();
        let room = reader.room_number(room_id).await.unwrap()?;
        let event = reader.current_state(room).await.unwrap().get(event_type, state_key).await.unwrap()?;
        Some(serde_json::from_str(event.pdu.content()).unwrap())
    }

    /// How many bytes of states are stored.
    pub(crate) async fn state_bytes(&self) -> usize {
        let nodes = &freehold_store::tables::rooms::STATE_NODES;
        let snapshot = self.store.snapshot().unwrap();
        let rows = snapshot.scan_prefix(nodes, &(), Order::Ascending, usize::MAX).await.unwrap();
        rows.iter().map(|(id, bytes)| id.len() + bytes.len()).sum()
    }

    /// What a message of a user cites in a room of version 12.
    pub(crate) async fn auth_events(
        &self,
        room_id: &RoomId,
        sender: &str,
    ) -> Vec<freehold_event::EventReference> {
        let reader = self.reader();
        let room = reader.room_number(room_id).await.unwrap().unwrap();
        let state = reader.current_state(room).await.unwrap();
        let version = reader.room(room).await.unwrap().unwrap().version;
        let is_named = version.rules().authorization.room_create_event_id_as_room_id;
        let create = (!is_named).then_some(("m.room.create", ""));
        let mut references = Vec::new();
        for key in create.into_iter().chain([("m.room.power_levels", ""), ("m.room.member", sender)]) {
            let event = state.get(key.0, key.1).await.unwrap().unwrap();
            references.push(freehold_event::EventReference::from(&event.pdu));
        }
        references
    }

    pub(crate) async fn membership(&self, room_id: &RoomId, user_id: &str) -> Option<String> {
        let content = self.state(room_id, "m.room.member", user_id).await?;
        Some(content["membership"].as_str().unwrap().to_owned())
    }

    /// The events of a room, oldest first.
    pub(crate) async fn timeline(&self, room_id: &RoomId) -> Vec<Arc<StoredEvent>> {
        let reader = self.reader();
        let room = reader.room_number(room_id).await.unwrap().unwrap();
        let between = freehold_rooms::Between::ALL;
        let entries = reader.timeline(room, between, Order::Ascending, usize::MAX).await.unwrap();
        let numbers: Vec<_> = entries.into_iter().map(|(_, number)| number).collect();
        reader.events(&numbers).await.unwrap()
    }

    /// The bodies of the messages that a user may see, oldest first.
    pub(crate) async fn visible_bodies(&self, actor: &Actor, room_id: &RoomId) -> Vec<String> {
        let events = self.timeline(room_id).await;
        let reader = self.reader();
        let room = reader.room_number(room_id).await.unwrap().unwrap();
        let visible = reader.visible(&Viewer::from(actor), room, &events).await.unwrap();
        let shown = events.iter().zip(visible).filter(|(_, visible)| *visible).map(|(event, _)| event);
        shown.filter_map(|event| body(event)).collect()
    }

    pub(crate) async fn say(&self, actor: &Actor, room_id: &RoomId, body: &str) -> OwnedEventId {
        self.rooms.send(actor, room_id, message(body)).await.unwrap()
    }

    pub(crate) async fn put(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        (event_type, state_key): (&str, &str),
        content: Value,
    ) -> Result<OwnedEventId, freehold_rooms::ActionError> {
        let event = NewEvent {
            event_type: event_type.to_owned(),
            state_key: Some(state_key.to_owned()),
            content: raw(&content),
            transaction_id: None,
        };
        self.rooms.send(actor, room_id, event).await
    }

    /// A room for everybody.
    pub(crate) async fn public_room(&self, actor: &Actor, version: &str) -> OwnedRoomId {
        let create = CreateRoom {
            preset: Some(freehold_rooms::Preset::PublicChat),
            room_version: Some(version.to_owned()),
            ..CreateRoom::default()
        };
        self.rooms.create_room(actor, create).await.unwrap()
    }

    pub(crate) async fn join(&self, actor: &Actor, room_id: &RoomId) {
        self.rooms.join(actor, entry(room_id, &self.all_servers())).await.unwrap();
    }

    pub(crate) fn all_servers(&self) -> Vec<&str> {
        self.hosted.tenants.keys().map(String::as_str).collect()
    }
}

pub(crate) fn entry(room_id: &RoomId, via: &[&str]) -> Entry {
    let via = via.iter().map(|server| ServerName::parse(*server).unwrap().to_owned()).collect();
    Entry { room: room_id.to_owned().into(), via, reason: None }
}

pub(crate) fn about(actor: &Actor) -> MemberAction {
    MemberAction { user_id: actor.user_id.clone(), reason: None }
}

pub(crate) fn raw(content: &Value) -> Box<serde_json::value::RawValue> {
    serde_json::value::to_raw_value(content).unwrap()
}

pub(crate) fn message(body: &str) -> NewEvent {
    NewEvent {
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: raw(&json!({ "msgtype": "m.text", "body": body })),
        transaction_id: None,
    }
}

pub(crate) fn body(event: &StoredEvent) -> Option<String> {
    let content: Value = serde_json::from_str(event.pdu.content()).unwrap();
    Some(content.get("body")?.as_str()?.to_owned())
}
