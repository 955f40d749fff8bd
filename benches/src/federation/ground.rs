//! What the areas stand on: tenants, a store on the disk, and rooms over it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use freehold_keyring::Purpose;
use freehold_rooms::{
    CreateRoom, Identities, NoProfiles, NoRemoteServers, Outside, Preset, Processors, Rooms, RoomsSettings,
    SigningError,
};
use freehold_signing::{
    KeyId, KeySource, KeyValidity, PreparedKeys, PublishedKey, ServerSigner, Signer, SigningKey, VerifyingKey,
};
use freehold_store::{
    Actor, Batch, BoxFuture, Clock, CommitError, DeviceNumber, Engine, EngineError, EngineSnapshot, Interner,
    Position, Store, Tenant, TenantNumber,
};
use freehold_store_fjall::{FjallEngine, Settings};
use ruma_common::{OwnedRoomId, OwnedServerName, ServerName, UserId};

use crate::rows::Outcome;

/// An error as a sentence, with what was attempted in front.
pub(crate) fn failed(attempted: &str) -> impl Fn(&dyn std::error::Error) -> String + '_ {
    move |error| {
        let mut sentence = format!("{attempted}: {error}");
        let mut source = error.source();
        while let Some(deeper) = source {
            sentence.push_str(&format!(": {deeper}"));
            source = deeper.source();
        }
        sentence
    }
}

/// A runtime with a thread for each of the processors that limits are about.
pub(crate) fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let threads = super::limit::CORES;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    runtime.map_err(|error| error.to_string())
}

/// A server name of the benchmark.
pub(crate) fn server(name: &str) -> OwnedServerName {
    name.try_into().expect("a server name")
}

/// The id of everybody's key.
pub(crate) fn key_id() -> KeyId {
    KeyId::parse("ed25519:1").expect("a key id")
}

/// The key of a server, made of its name.
pub(crate) fn key_of(server: &ServerName) -> SigningKey {
    let mut seed = [7; 32];
    seed.iter_mut().zip(server.as_bytes()).for_each(|(place, byte)| *place = *byte);
    SigningKey::from_seed(&seed)
}

/// With what a server signs.
pub(crate) fn signer(server: &ServerName) -> ServerSigner {
    ServerSigner::new(server.to_owned(), key_id(), key_of(server))
}

/// The time of now.
pub(crate) struct Now;

impl Clock for Now {
    fn now_ts(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The keys of some servers, all at hand, as they are when a server was heard of before.
#[derive(Clone)]
pub(crate) struct KnownKeys(Arc<(std::collections::BTreeMap<OwnedServerName, VerifyingKey>, PreparedKeys)>);

impl KnownKeys {
    /// The keys of these servers; as many busy ones are prepared as the server prepares.
    pub(crate) fn of<'s>(servers: impl IntoIterator<Item = &'s ServerName>) -> Self {
        let keys = servers.into_iter().map(|name| (name.to_owned(), key_of(name).verifying_key().clone()));
        KnownKeys(Arc::new((keys.collect(), PreparedKeys::new(128))))
    }
}

impl KeySource for KnownKeys {
    fn key(&self, server: &ServerName, _: &KeyId) -> Option<PublishedKey<'_>> {
        let validity = KeyValidity::Current { valid_until_ts: i64::MAX };
        Some(PublishedKey { key: self.0.0.get(server)?, validity })
    }

    fn prepared(&self) -> Option<&PreparedKeys> {
        Some(&self.0.1)
    }
}

/// Tenants `t1.example` and so on.
#[derive(Clone, Copy)]
pub(crate) struct Hosted(pub(crate) u32);

impl Hosted {
    /// The tenant with a number.
    pub(crate) fn number(number: u32) -> Tenant {
        Tenant::new(TenantNumber(number), server(&format!("t{number}.example")))
    }

    /// The tenant with a name.
    pub(crate) fn named(self, name: &str) -> Option<Tenant> {
        let number = name.strip_prefix('t')?.strip_suffix(".example")?.parse().ok()?;
        (1..=self.0).contains(&number).then(|| Hosted::number(number))
    }
}

impl Identities for Hosted {
    fn tenant(&self, server_name: &ServerName) -> Option<Tenant> {
        self.named(server_name.as_str())
    }

    fn signer(
        &self,
        tenant: &Tenant,
        _: Purpose<'_>,
        _: i64,
    ) -> Result<Box<dyn Signer + Send + Sync>, SigningError> {
        Ok(Box::new(signer(tenant.server_name())))
    }

    fn published_key(&self, tenant: &Tenant, _: &KeyId, now_ts: i64) -> Option<(VerifyingKey, KeyValidity)> {
        let validity = KeyValidity::Current { valid_until_ts: now_ts + 3_600_000 };
        Some((key_of(tenant.server_name()).verifying_key().clone(), validity))
    }
}

/// An engine that counts what is committed.
struct Counted {
    engine: FjallEngine,
    commits: Arc<AtomicU64>,
}

impl Engine for Counted {
    fn snapshot(&self) -> Result<Box<dyn EngineSnapshot>, EngineError> {
        self.engine.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Position, CommitError>> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.engine.commit(batch)
    }
}

/// A store on the disk, with all its syncs, and rooms over it, with as much memory as the server has if nobody says
/// otherwise.
pub(crate) struct Ground {
    pub(crate) store: Store,
    pub(crate) interner: Interner,
    pub(crate) rooms: Rooms,
    pub(crate) hosted: Hosted,
    commits: Arc<AtomicU64>,
}

/// The shares of a server with 32 MiB for all caches.
const STORE: Settings =
    Settings { cache_bytes: 8 << 20, write_buffer_bytes: 2 << 20, reserve_bytes: 256 << 20 };
const ROOMS_BYTES: usize = 4 << 20;

impl Ground {
    /// A new store in a folder, for this many tenants.
    pub(crate) async fn new(folder: &Path, tenants: u32) -> Outcome<Self> {
        let engine = FjallEngine::open(folder, STORE).map_err(|error| failed("open the store")(&error))?;
        let commits = Arc::new(AtomicU64::new(0));
        let engine = Arc::new(Counted { engine, commits: Arc::clone(&commits) });
        let store = Store::open(engine).await.map_err(|error| failed("open the store")(&error))?;
        let interner = Interner::new(&store);
        let hosted = Hosted(tenants);
        let outside = Outside {
            identities: Arc::new(hosted),
            profiles: Arc::new(NoProfiles),
            remote: Arc::new(NoRemoteServers),
            clock: Arc::new(Now),
        };
        let settings = RoomsSettings {
            cache_bytes: ROOMS_BYTES,
            open_rooms_bytes: ROOMS_BYTES,
            ..RoomsSettings::default()
        };
        let rooms = Rooms::new(store.clone(), interner.clone(), outside, settings)
            .with_labour(Arc::new(Processors::new(super::limit::CORES)));
        Ok(Ground { store, interner, rooms, hosted, commits })
    }

    /// How many batches were committed so far.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// A user of a tenant.
    pub(crate) async fn actor(&self, user_id: &str) -> Outcome<Actor> {
        let user_id = UserId::parse(user_id).map_err(|error| error.to_string())?;
        let tenant = self.hosted.named(user_id.server_name().as_str()).ok_or("a user of no tenant")?;
        let snapshot = self.store.snapshot().map_err(|error| error.to_string())?;
        let mut batch = Batch::new();
        let user = self.interner.number_of(&snapshot, &user_id, &mut batch).await;
        let user = user.map_err(|error| error.to_string())?;
        self.store.commit(batch).await.map_err(|error| error.to_string())?;
        Ok(Actor { tenant, user_id, user, device: Some(DeviceNumber(user.0)) })
    }

    /// A room of version 11 for everybody.
    pub(crate) async fn public_room(&self, actor: &Actor) -> Outcome<OwnedRoomId> {
        let create = CreateRoom {
            preset: Some(Preset::PublicChat),
            room_version: Some("11".to_owned()),
            ..CreateRoom::default()
        };
        let created = self.rooms.create_room(actor, create).await;
        created.map_err(|error| failed("create a room")(&error))
    }
}
