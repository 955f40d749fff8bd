//! Two tenants with users, devices and rooms.

use std::collections::BTreeMap;
use std::sync::Arc;

use freehold_encryption::{Encryption, KeyOfDevice, KeysUpload, Limits, Servers};
use freehold_signing::SigningKey;
use freehold_store::tables::accounts::{DEVICE_NUMBERS, DEVICES, DeviceRow};
use freehold_store::tables::identity::{USER_IDS, USER_NUMBERS};
use freehold_store::tables::rooms::{
    LOCAL_MEMBERS, MEMBER_CHANGES, MEMBERSHIPS, Membership, MembershipRow, ROOM_SERVERS, RoomServerRow,
    STATE_HISTORY,
};
use freehold_store::{
    Actor, Batch, BoxFuture, CommitError, DeviceNumber, Engine, EngineError, EngineSnapshot, EventNumber,
    MemoryEngine, Order, Position, RoomNumber, Snapshot, Store, Tenant, TenantNumber, TimelineIndex,
    UserNumber,
};
use ruma_common::{OwnedDeviceId, OwnedServerName, ServerName, UserId};
use serde_json::{Value, json};

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) encryption: Encryption,
    tenants: BTreeMap<OwnedServerName, Tenant>,
}

/// Lets others run between a decision and its commit, as an engine that writes to a disk does.
struct Slow(MemoryEngine);

impl Engine for Slow {
    fn snapshot(&self) -> Result<Box<dyn EngineSnapshot>, EngineError> {
        self.0.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Position, CommitError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.commit(batch).await
        })
    }
}

struct TestServers(BTreeMap<OwnedServerName, Tenant>);

impl Servers for TestServers {
    fn reach(&self, _: &Tenant, server_name: &ServerName) -> Option<Tenant> {
        self.0.get(server_name).cloned()
    }

    fn is_hosted(&self, server_name: &ServerName) -> bool {
        self.0.contains_key(server_name)
    }
}

/// A device of a user.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) number: DeviceNumber,
    pub(crate) device_id: OwnedDeviceId,
}

/// A user with one device, and its secret keys.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) actor: Actor,
    pub(crate) device: Device,
    seed: u8,
}

/// The time of the tests.
pub(crate) const NOW_TS: i64 = 1_700_000_000_000;

impl World {
    /// `one.example` and `two.example`.
    pub(crate) async fn new() -> World {
        World::with_limits(Limits::default()).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> World {
        let store = Store::open(Arc::new(Slow(MemoryEngine::new()))).await.unwrap();
        let names = ["one.example", "two.example"].map(|name| OwnedServerName::try_from(name).unwrap());
        let tenants: BTreeMap<_, _> = names
            .into_iter()
            .zip(1..)
            .map(|(name, number)| (name.clone(), Tenant::new(TenantNumber(number), name)))
            .collect();
        let servers = Arc::new(TestServers(tenants.clone()));
        let clock = Arc::new(NOW_TS);
        let encryption = Encryption::new(store.clone(), servers, clock, limits);
        World { store, encryption, tenants }
    }

    /// The service over the same store at another time.
    pub(crate) fn at(&self, now_ts: i64) -> Encryption {
        let servers = Arc::new(TestServers(self.tenants.clone()));
        Encryption::new(self.store.clone(), servers, Arc::new(now_ts), Limits::default())
    }

    /// A user with a device; the number says which.
    pub(crate) async fn person(&self, user_id: &str, number: u8) -> Person {
        self.device_of(user_id, number, &format!("DEVICE{number}")).await
    }

    /// Another device of the user of this number.
    pub(crate) async fn device_of(&self, user_id: &str, number: u8, device_id: &str) -> Person {
        let user_id = UserId::parse(user_id).unwrap();
        let user = UserNumber(u64::from(number));
        let count = self.store.snapshot().unwrap().position().0;
        let device_number = DeviceNumber(1_000 + count);
        let row = DeviceRow {
            user,
            device_id: device_id.to_owned(),
            display_name: Some(format!("name of {device_id}")),
            created_ts: 0,
        };
        let mut batch = Batch::new();
        batch.put(&USER_NUMBERS, &user_id, &user);
        batch.put(&USER_IDS, &user, &user_id);
        batch.put(&DEVICES, &device_number, &row);
        batch.put(&DEVICE_NUMBERS, &(user, device_id.to_owned()), &device_number);
        self.store.commit(batch).await.unwrap();
        let device = Device { number: device_number, device_id: device_id.into() };
        let tenant = self.tenants.get(user_id.server_name()).unwrap().clone();
        let actor = Actor { tenant, user_id, user, device: Some(device.number) };
        Person { actor, device, seed: device_id.bytes().fold(number, u8::wrapping_add) }
    }

    /// The device goes, as the accounts service lets it go.
    pub(crate) async fn delete_device(&self, person: &Person) {
        let snapshot = self.store.snapshot().unwrap();
        let id = person.device.device_id.as_str();
        let mut batch = Batch::new();
        batch.delete(&DEVICE_NUMBERS, &(person.actor.user, id.to_owned()));
        batch.delete(&DEVICES, &person.device.number);
        self.encryption
            .device_gone(&snapshot, person.actor.user, (person.device.number, id), &mut batch)
            .await
            .unwrap();
        self.store.commit(batch).await.unwrap();
    }

    pub(crate) async fn set_membership(&self, person: &Person, room: u64, membership: Membership) {
        let (room, user) = (RoomNumber(room), person.actor.user);
        let mut batch = Batch::new();
        let tenant = person.actor.tenant.number();
        let place = (room, tenant, user);
        batch.put(&LOCAL_MEMBERS, &place, &membership);
        batch.touch(room);
        let before = self.snapshot().get(&MEMBERSHIPS, &(user, room)).await.unwrap();
        if let Some(before) = &before {
            batch.delete(&MEMBER_CHANGES, &(room, before.since, user));
        }
        batch.at_position(move |since, writes| {
            writes.put(&MEMBER_CHANGES, &(room, since, user), &());
            let row = MembershipRow {
                membership,
                tenant,
                event: EventNumber(1),
                since,
                joined_until: match &before {
                    Some(before) if before.membership == Membership::Join => {
                        Some(TimelineIndex::at(since, 0))
                    }
                    before => before.as_ref().and_then(|before| before.joined_until),
                },
                forgotten: false,
                stripped_state: Vec::new(),
            };
            writes.put(&MEMBERSHIPS, &(user, room), &row);
            writes.put(&STATE_HISTORY, &(room, since), &[0; 20]);
        });
        self.store.commit(batch).await.unwrap();
    }

    /// A server is in a room.
    pub(crate) async fn server_in_room(&self, name: &str, room: u64) {
        let row = RoomServerRow { joined: 1, since: Position(1) };
        let mut batch = Batch::new();
        batch.put(&ROOM_SERVERS, &(RoomNumber(room), OwnedServerName::try_from(name).unwrap()), &row);
        self.store.commit(batch).await.unwrap();
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.store.snapshot().unwrap()
    }

    pub(crate) fn position(&self) -> Position {
        self.snapshot().position()
    }

    /// All rows of the tables of encryption, to see that nothing is left behind.
    pub(crate) async fn keys_and_messages(&self) -> usize {
        use freehold_store::tables::encryption::{
            CLAIMED_KEYS, DEVICE_KEYS, FALLBACK_KEYS, KEY_SIGNATURES, ONE_TIME_KEY_COUNTS, ONE_TIME_KEY_IDS,
            ONE_TIME_KEYS, TO_DEVICE, TO_DEVICE_SENT, TO_DEVICE_SENT_AGES,
        };
        let snapshot = self.snapshot();
        macro_rules! rows {
            ($($table:ident)*) => {
                0 $(+ snapshot.scan_prefix(&$table, &(), Order::Ascending, usize::MAX).await.unwrap().len())*
            };
        }
        rows!(DEVICE_KEYS KEY_SIGNATURES ONE_TIME_KEYS ONE_TIME_KEY_IDS CLAIMED_KEYS ONE_TIME_KEY_COUNTS
            FALLBACK_KEYS TO_DEVICE TO_DEVICE_SENT TO_DEVICE_SENT_AGES)
    }
}

impl Person {
    pub(crate) fn user_id(&self) -> &UserId {
        &self.actor.user_id
    }

    pub(crate) fn key(&self) -> SigningKey {
        SigningKey::from_seed(&[self.seed; 32])
    }

    /// The identity keys of the device, signed by it.
    pub(crate) fn device_keys(&self) -> Value {
        let id = &self.device.device_id;
        let keys = json!({
            "user_id": self.user_id(),
            "device_id": id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {
                format!("ed25519:{id}"): self.key().verifying_key().to_base64(),
                format!("curve25519:{id}"): "3C5BFWi2Y8MaVvjM8M22DBmh24PmgR0nPvJOIArzgyI",
            },
        });
        signed(keys, self.user_id(), &format!("ed25519:{id}"), &self.key())
    }

    pub(crate) fn one_time_key(&self, key_id: &str) -> KeyOfDevice {
        let key = json!({ "key": format!("public half of {key_id}") });
        let key = signed(key, self.user_id(), &format!("ed25519:{}", self.device.device_id), &self.key());
        KeyOfDevice {
            algorithm: "signed_curve25519".to_owned(),
            key_id: key_id.to_owned(),
            key: key.to_string(),
        }
    }

    pub(crate) fn upload(&self, one_time_keys: &[&str]) -> KeysUpload {
        KeysUpload {
            device_keys: Some(self.device_keys().to_string()),
            one_time_keys: one_time_keys.iter().map(|key_id| self.one_time_key(key_id)).collect(),
            fallback_keys: Vec::new(),
        }
    }

    /// A cross-signing key of the user, the `nth` for this use, signed by `by`.
    pub(crate) fn cross_signing_key(
        &self,
        usage: &str,
        nth: u8,
        by: Option<&SigningKey>,
    ) -> (SigningKey, Value) {
        let key = SigningKey::from_seed(&[self.seed ^ usage.as_bytes()[0] ^ (nth << 5); 32]);
        let public = key.verifying_key().to_base64();
        let document = json!({
            "user_id": self.user_id(),
            "usage": [usage],
            "keys": { format!("ed25519:{public}"): public },
        });
        let document = by.map_or(document.clone(), |by| {
            signed(document, self.user_id(), &format!("ed25519:{}", by.verifying_key().to_base64()), by)
        });
        (key, document)
    }
}

/// A document with one more signature.
pub(crate) fn signed(mut document: Value, user: &UserId, key_id: &str, key: &SigningKey) -> Value {
    let object = document.as_object_mut().unwrap();
    let mut signatures = object.remove("signatures").unwrap_or_else(|| json!({}));
    let unsigned = object.remove("unsigned");
    let bytes =
        freehold_canonical_json::to_canonical_vec_from(&object, &freehold_canonical_json::Limits::STRICT);
    let signature = key.sign(&bytes.unwrap()).to_base64();
    signatures[user.as_str()][key_id] = json!(signature);
    object.insert("signatures".to_owned(), signatures);
    if let Some(unsigned) = unsigned {
        object.insert("unsigned".to_owned(), unsigned);
    }
    document
}

pub(crate) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
