//! Ours as its parts, in a process of their own: rooms over the store on the disk, and other servers over the network. The
//! whole server has the same parts, and puts HTTP in front of them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use freehold_federation::{
    AddressPolicy, Client, ClientParts, Discovery, DiscoveryParts, Health, HealthParts, Internet,
    OwnDocuments, Remote, RemoteKeyring, RemoteKeyringParts, SystemRandomness, Transport, Web,
};
use freehold_keyring::{FetchPolicy, Notary, Purpose};
use freehold_rooms::{
    Entry, Identities, NewEvent, NoProfiles, Outside, Processors, Rooms, RoomsSettings, SigningError,
};
use freehold_signing::{KeyId, KeyValidity, ServerSigner, Signer, SigningKey, VerifyingKey};
use freehold_store::{Actor, Batch, Clock, DeviceNumber, Interner, Store, Tenant, TenantNumber};
use freehold_store_fjall::{FjallEngine, Settings};
use ruma_common::{OwnedRoomId, OwnedServerName, RoomId, ServerName, UserId};
use serde_json::{Value, json};

use crate::http::Outcome;
use crate::joined::Joined;
use crate::resident::Resident;

/// What a process of parts is told.
#[derive(clap::Args, Clone)]
pub(crate) struct Telling {
    /// The store
    #[arg(long)]
    store: PathBuf,
    /// The certificate of the authority that is trusted
    #[arg(long)]
    authority: PathBuf,
    /// The server of the room
    #[arg(long)]
    resident: OwnedServerName,
    /// The room
    #[arg(long)]
    room_id: OwnedRoomId,
    /// How many are joined afterwards
    #[arg(long)]
    expected: u64,
}

/// Has a process of parts join.
pub(crate) fn joined(store: PathBuf, resident: &Resident) -> Outcome<Joined> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg("parts").arg("--store").arg(store).arg("--authority").arg(&resident.authority);
    command.arg("--resident").arg(resident.name.as_str()).arg("--room-id").arg(&resident.room.room_id);
    command.arg("--expected").arg((resident.room.members().len() + 1).to_string());
    let printed = crate::process::run(&mut command)?;
    let figures: Value = serde_json::from_str(&printed).map_err(|error| format!("{printed}: {error}"))?;
    Joined::from_json(&figures).ok_or_else(|| format!("the parts said `{printed}`"))
}

impl Telling {
    /// Joins, in this process; gives the figures as JSON.
    pub(crate) async fn join(&self) -> Outcome<Value> {
        let (rooms, store, interner) = self.rooms().await?;
        let joiner = joiner(&store, &interner).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (before, worked) = (status("VmRSS")?, worked_seconds()?);
        let started = Instant::now();
        let via = vec![self.resident.clone()];
        let entry = Entry { room: self.room_id.clone().into(), via, reason: None };
        rooms.join(&joiner, entry).await.map_err(|error| sentence(&error))?;
        let event = NewEvent {
            event_type: "m.room.message".to_owned(),
            state_key: None,
            content: serde_json::value::to_raw_value(&json!({"msgtype": "m.text", "body": "hello"}))
                .map_err(|error| error.to_string())?,
            transaction_id: None,
        };
        rooms.send(&joiner, &self.room_id, event).await.map_err(|error| sentence(&error))?;
        let usable = started.elapsed().as_secs_f64();
        self.expect_everybody(&rooms).await?;
        let complete = started.elapsed().as_secs_f64();
        let figures = Joined {
            usable,
            complete,
            extra_bytes: status("VmHWM")? - before,
            processor_seconds: worked_seconds()? - worked,
        };
        Ok(figures.to_json())
    }

    /// Waits for nothing: when a join is answered, everybody is there.
    async fn expect_everybody(&self, rooms: &Rooms) -> Outcome<()> {
        let reader = rooms.reader().map_err(|error| sentence(&error))?;
        let room_id: &RoomId = &self.room_id;
        let number = reader.room_number(room_id).await.map_err(|error| sentence(&error))?;
        let number = number.ok_or("the room is not there")?;
        let servers = reader.servers_in(number).await.map_err(|error| sentence(&error))?;
        let joined: u64 = servers.iter().map(|(_, row)| row.joined).sum();
        if joined == self.expected {
            Ok(())
        } else {
            Err(format!("{joined} are joined of {}", self.expected))
        }
    }

    async fn rooms(&self) -> Outcome<(Rooms, Store, Interner)> {
        // As much as the server gives the engine unless it is told otherwise.
        let settings = Settings { cache_bytes: 8 << 20, write_buffer_bytes: 2 << 20, ..Settings::default() };
        let engine = FjallEngine::open(self.store.clone(), settings).map_err(|error| sentence(&error))?;
        let store = Store::open(Arc::new(engine)).await.map_err(|error| sentence(&error))?;
        let (clock, randomness) = (Arc::new(Now), Arc::new(SystemRandomness));
        let transport: Arc<dyn Transport> = Arc::new(Internet::new(std::slice::from_ref(&self.authority)));
        let loopback = "127.0.0.0/8".parse().map_err(|_| "a network")?;
        let web = Web::new(transport, AddressPolicy::new(&[loopback]));
        let discovery =
            Discovery::new(DiscoveryParts { web, clock: clock.clone(), randomness: randomness.clone() });
        let health = HealthParts { store: store.clone(), clock: clock.clone(), randomness };
        let health = Health::open(health).await.map_err(|error| sentence(&error))?;
        let identities: Arc<dyn Identities> = Arc::new(One);
        let client = Client::new(ClientParts {
            discovery,
            identities: identities.clone(),
            health,
            clock: clock.clone(),
        });
        let notary = Notary { server_name: self.resident.clone(), keys: std::collections::BTreeMap::new() };
        let keyring = RemoteKeyring::new(RemoteKeyringParts {
            client: client.clone(),
            store: store.clone(),
            identities: identities.clone(),
            documents: Arc::new(One),
            clock: clock.clone(),
            policy: FetchPolicy { in_flight_max: 256, ..FetchPolicy::default() },
            notaries: vec![notary],
        });
        let outside = Outside {
            identities,
            profiles: Arc::new(NoProfiles),
            remote: Arc::new(Remote::new(client, keyring)),
            clock,
        };
        let interner = Interner::new(&store);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let rooms = Rooms::new(store.clone(), interner.clone(), outside, RoomsSettings::default());
        Ok((rooms.with_labour(Arc::new(Processors::new(processors))), store, interner))
    }
}

/// One tenant.
struct One;

const TENANT: &str = "single.localhost";

fn tenant() -> Option<Tenant> {
    Some(Tenant::new(TenantNumber(1), OwnedServerName::try_from(TENANT).ok()?))
}

async fn joiner(store: &Store, interner: &Interner) -> Outcome<Actor> {
    let user_id = UserId::parse(format!("@joiner:{TENANT}")).map_err(|error| error.to_string())?;
    let mut batch = Batch::new();
    let snapshot = store.snapshot().map_err(|error| sentence(&error))?;
    let user = interner.number_of(&snapshot, &user_id, &mut batch).await.map_err(|error| sentence(&error))?;
    drop(snapshot);
    store.commit(batch).await.map_err(|error| sentence(&error))?;
    let tenant = tenant().ok_or("a tenant")?;
    Ok(Actor { tenant, user_id, user, device: Some(DeviceNumber(1)) })
}

impl Identities for One {
    fn tenant(&self, server_name: &ServerName) -> Option<Tenant> {
        tenant().filter(|tenant| tenant.server_name() == server_name)
    }

    fn signer(
        &self,
        tenant: &Tenant,
        _: Purpose<'_>,
        _: i64,
    ) -> Result<Box<dyn Signer + Send + Sync>, SigningError> {
        let key_id = KeyId::ed25519("1").map_err(|error| SigningError(Box::new(error)))?;
        let key = SigningKey::from_seed(&[9; 32]);
        Ok(Box::new(ServerSigner::new(tenant.server_name().to_owned(), key_id, key)))
    }

    fn published_key(&self, _: &Tenant, _: &KeyId, now_ts: i64) -> Option<(VerifyingKey, KeyValidity)> {
        let validity = KeyValidity::Current { valid_until_ts: now_ts + 3_600_000 };
        Some((SigningKey::from_seed(&[9; 32]).verifying_key().clone(), validity))
    }
}

impl OwnDocuments for One {
    fn key_document(&self, _: &Tenant, _: i64) -> Option<Vec<u8>> {
        None
    }
}

struct Now;

impl Clock for Now {
    fn now_ts(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Bytes that the system says this process has, or had at the most.
fn status(name: &str) -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0).ok_or_else(|| format!("no {name}"))
}

fn worked_seconds() -> Outcome<f64> {
    crate::joined::worked_seconds(std::process::id())
}

/// An error with what it came from.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        sentence.push_str(&format!(": {deeper}"));
        source = deeper.source();
    }
    sentence
}
