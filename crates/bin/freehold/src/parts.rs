//! The one place where all parts meet: store, tenants, services, APIs.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use freehold_accounts::{AccountLimits, AccountParts, AccountSettings, Accounts};
use freehold_admin_api::{Desk, KEYS_FILE};
use freehold_client_api::{self as client_api, Limits, LimitsSettings};
use freehold_encryption::Encryption;
use freehold_federation::{ClientFetching, Ingest, IngestParts, MediaOfServers, Outbound, Remote};
use freehold_federation_api as federation_api;
use freehold_media::Media;
use freehold_rooms::{Processors, Rooms, RoomsSettings};
use freehold_store::{Clock, Interner, Store};
use freehold_store_fjall::{FjallEngine, Settings};
use freehold_sync::SyncService;
use freehold_tenancy::{Outside, Tenancy, TenancySettings, open_keys};

use crate::between::{
    AccountPolicies, DirectoriesOfOthers, EventsOfOthers, FilesOfOthers, IdentitiesOfTenants, KeysOfDevices,
    KeysOfTenants, MediaPolicies, MemberEventsInRooms, NewsOfAccounts, NewsOfDevices, PresenceOfTenants,
    ProfilesOfAccounts, Spaces, TenantsAsServers, ToldServers,
};
use crate::cli::Failure;
use crate::clock::SystemClock;
use crate::config::{Bounds, Config, Rate, RateLimits, StoragePlace};
use crate::data::Data;
use crate::gate::InService;
use crate::memory::{Memory, Shares};
use crate::metrics::Metrics;
use crate::neighbours::outbound;
use crate::objects::objects;
use crate::reach::Reach;

/// Everything that a server is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) tenancy: Tenancy,
    pub(crate) accounts: Accounts,
    pub(crate) rooms: Rooms,
    pub(crate) ingest: Ingest,
    pub(crate) encryption: Encryption,
    pub(crate) media: Media,
    pub(crate) sync: SyncService,
    pub(crate) in_flight: client_api::InFlight,
    pub(crate) desk: Desk,
    pub(crate) outside: Arc<dyn Outside>,
    pub(crate) reach: Reach,
    pub(crate) outbound: Outbound,
    pub(crate) metrics: Metrics,
    pub(crate) memory: Memory,
    limits: Limits,
    federation_limits: federation_api::Limits,
    pub(crate) transactions: federation_api::Transactions,
    spaces: Spaces,
    pub(crate) clock: Arc<dyn Clock>,
}

const MINUTE_MS: u64 = 60 * 1000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Parts {
    /// Opens what the data directory holds and puts the parts together.
    pub(crate) async fn open(config: &Config, data: &Data) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let shares = Shares::of(config.memory.0);
        let (engine, store) = store(config, data).await?;
        let tenancy = tenancy(config, data, store.clone(), clock.clone()).await?;
        let interner = Interner::new(&store);
        let reach = Reach::open(config, &store, (&tenancy, &clock)).await?;
        let media = media(config, data, (&store, &tenancy, &reach), &clock)?;
        let rooms = rooms(config, (&store, &interner), (&tenancy, &reach), &clock);
        let ingest = ingest(&rooms, (&tenancy, &reach), &clock);
        let servers =
            TenantsAsServers { tenancy: tenancy.clone(), client: reach.client.clone(), rooms: rooms.clone() };
        let encryption = encryption(&config.limits, &store, servers, &clock);
        let outbound = outbound(&reach, (&store, &rooms), (&tenancy, &encryption), &clock).await?;
        let account_settings = account_settings(&config.limits, &shares);
        let accounts = accounts((&store, interner), &tenancy, (&encryption, &rooms), account_settings);
        let news = freehold_sync::Outside {
            accounts: Arc::new(NewsOfAccounts(accounts.clone())),
            devices: Arc::new(NewsOfDevices(encryption.clone())),
            servers: Arc::new(ToldServers(outbound.clone())),
            presence: Arc::new(PresenceOfTenants(tenancy.clone())),
            clock: clock.clone(),
        };
        let sync = SyncService::new(store.clone(), rooms.clone(), news);
        let outside: Arc<dyn Outside> = Arc::new(reach.outside());
        let desk = Desk::new(
            (tenancy.clone(), accounts.clone()),
            (outside.clone(), reach.doctor(&tenancy), ingest.clone()),
            clock.clone(),
            (store.clone(), data.path().to_owned()),
            (media.clone(), rooms.clone()),
        );
        let bodies = client_api::Bodies::new(usize::try_from(shares.bodies).unwrap_or(usize::MAX));
        let memory = memory(config, engine, (&rooms, &accounts), (&bodies, &tenancy));
        let desk = desk.with_status(Arc::new(memory.clone()));
        let (metrics, limits) = (Metrics::default(), limits(&config.rate_limits).with_bodies(bodies));
        let in_flight = client_api::InFlight::default();
        Ok(Parts {
            tenancy,
            accounts,
            rooms,
            ingest,
            encryption,
            media,
            sync,
            in_flight,
            desk,
            outside,
            reach,
            outbound,
            metrics,
            memory,
            limits,
            federation_limits: federation_limits(&config.rate_limits),
            transactions: federation_api::Transactions::new(store, clock.clone()),
            spaces: Spaces::default(),
            clock,
        })
    }

    /// The client-server API over these parts.
    pub(crate) fn client_api(&self) -> Router {
        client_api::router(client_api::Services {
            tenants: Arc::new(InService(self.tenancy.clone())),
            sessions: Arc::new(self.accounts.clone()),
            accounts: self.accounts.clone(),
            encryption: self.encryption.clone(),
            media: self.media.clone(),
            limits: self.limits.clone(),
            sync: self.sync.clone(),
            in_flight: self.in_flight.clone(),
            rooms: self.rooms.clone(),
            older_events: Arc::new(EventsOfOthers(self.ingest.clone())),
            other_directories: Arc::new(DirectoriesOfOthers {
                tenancy: self.tenancy.clone(),
                client: self.reach.client.clone(),
                spaces: self.spaces.clone(),
            }),
            clock: self.clock.clone(),
        })
    }

    /// The server-server API over these parts.
    pub(crate) fn federation_api(&self) -> Router {
        federation_api::router(federation_api::Services {
            tenants: Arc::new(KeysOfTenants(self.tenancy.clone())),
            origin_keys: Arc::new(federation_api::KeysOfOrigins {
                keyring: self.reach.keyring.clone(),
                health: self.reach.client.health().clone(),
                clock: self.clock.clone(),
            }),
            notary: Arc::new(self.reach.keyring.clone()),
            accounts: self.accounts.clone(),
            rooms: self.rooms.clone(),
            ingest: Arc::new(self.ingest.clone()),
            transactions: self.transactions.clone(),
            encryption: self.encryption.clone(),
            sync: self.sync.clone(),
            media: self.media.clone(),
            limits: self.federation_limits.clone(),
            clock: self.clock.clone(),
        })
    }
}

fn federation_limits(limits: &RateLimits) -> federation_api::Limits {
    let rate = |rate: Rate| {
        limits.enabled.then_some(federation_api::Rate { per_second: rate.per_second, burst: rate.burst })
    };
    federation_api::Limits::new(federation_api::LimitsSettings {
        origin: rate(limits.server),
        address: rate(limits.address),
    })
}

async fn store(config: &Config, data: &Data) -> Result<(Arc<FjallEngine>, Store), Failure> {
    let engine = Arc::new(engine(config, data)?);
    let opened = Store::open(engine.clone()).await;
    Ok((engine, opened.map_err(|error| Failure::of("cannot open the store", error))?))
}

fn accounts(
    (store, interner): (&Store, Interner),
    tenancy: &Tenancy,
    (encryption, rooms): (&Encryption, &Rooms),
    settings: AccountSettings,
) -> Accounts {
    Accounts::new(AccountParts {
        store: store.clone(),
        interner,
        clock: Arc::new(SystemClock),
        policies: Arc::new(AccountPolicies(tenancy.clone())),
        device_keys: Arc::new(KeysOfDevices(encryption.clone())),
        member_events: Arc::new(MemberEventsInRooms { rooms: rooms.clone(), store: store.clone() }),
        settings,
    })
}

fn memory(
    config: &Config,
    engine: Arc<FjallEngine>,
    (rooms, accounts): (&Rooms, &Accounts),
    (bodies, tenancy): (&client_api::Bodies, &Tenancy),
) -> Memory {
    Memory {
        budget: config.memory.0,
        engine,
        rooms: rooms.clone(),
        accounts: accounts.clone(),
        bodies: bodies.clone(),
        tenancy: tenancy.clone(),
    }
}

fn account_settings(limits: &Bounds, shares: &Shares) -> AccountSettings {
    let bounds = AccountLimits {
        devices: limits.devices.get(),
        account_data: limits.account_data,
        sessions_in_memory: shares.sessions_max(),
        ..AccountLimits::default()
    };
    AccountSettings {
        hashes_at_once: limits.passwords_at_once.get(),
        access_token_lifetime_ms: u64::from(limits.access_token_minutes.get()) * MINUTE_MS,
        failed_logins: limits.slow_failed_logins,
        limits: bounds,
        ..AccountSettings::default()
    }
}

fn limits(limits: &RateLimits) -> Limits {
    let rate = |rate: Rate| {
        limits.enabled.then_some(client_api::Rate { per_second: rate.per_second, burst: rate.burst })
    };
    Limits::new(LimitsSettings {
        user: rate(limits.user),
        address: rate(limits.address),
        tenant: rate(limits.tenant),
    })
}

/// The engine in which everything is kept.
pub(crate) fn engine(config: &Config, data: &Data) -> Result<FjallEngine, Failure> {
    let shares = Shares::of(config.memory.0);
    let settings = Settings {
        cache_bytes: shares.blocks,
        write_buffer_bytes: shares.write_buffer(),
        ..Settings::default()
    };
    let directory = match &config.storage {
        Some(StoragePlace::Directory(directory)) => directory.clone(),
        None => data.path().join("store"),
    };
    let engine = FjallEngine::open(directory, settings);
    engine.map_err(|error| Failure::of("cannot open the store", error))
}

/// The file with the key under which the tenants' keys are sealed.
pub(crate) fn master_key_file(config: &Config, data: &Data) -> PathBuf {
    config.master_key.clone().unwrap_or_else(|| data.path().join("master.key"))
}

async fn tenancy(
    config: &Config,
    data: &Data,
    store: Store,
    clock: Arc<dyn Clock>,
) -> Result<Tenancy, Failure> {
    let base_domain = config.base_domain.clone().map(|domain| domain.0);
    let settings = TenancySettings { base_domain, grace_ms: i64::from(config.grace_days) * DAY_MS };
    let keys = open_keys(&data.path().join(KEYS_FILE), &master_key_file(config, data))
        .map_err(|error| Failure::of("cannot open the keys", error))?;
    Tenancy::open(store, Arc::new(keys), clock, settings)
        .await
        .map_err(|error| Failure::of("cannot read the tenants", error))
}

fn media(
    config: &Config,
    data: &Data,
    (store, tenancy, reach): (&Store, &Tenancy, &Reach),
    clock: &Arc<dyn Clock>,
) -> Result<Media, Failure> {
    let (objects, settings) = objects(config, data)?;
    let outside = freehold_media::Outside {
        policies: Arc::new(MediaPolicies(tenancy.clone())),
        origins: Arc::new(FilesOfOthers {
            tenancy: tenancy.clone(),
            servers: MediaOfServers::new(reach.client.clone()),
        }),
    };
    Ok(Media::new(store.clone(), objects, outside, clock.clone(), settings))
}

fn encryption(
    bounds: &Bounds,
    store: &Store,
    servers: TenantsAsServers,
    clock: &Arc<dyn Clock>,
) -> Encryption {
    let mut limits = freehold_encryption::Limits {
        to_device_per_device: bounds.to_device_messages,
        ..freehold_encryption::Limits::default()
    };
    limits.backup.entries = bounds.backed_up_keys;
    Encryption::new(store.clone(), Arc::new(servers), clock.clone(), limits)
}

fn rooms(
    config: &Config,
    (store, interner): (&Store, &Interner),
    (tenancy, reach): (&Tenancy, &Reach),
    clock: &Arc<dyn Clock>,
) -> Rooms {
    let outside = freehold_rooms::Outside {
        identities: Arc::new(IdentitiesOfTenants(tenancy.clone())),
        profiles: Arc::new(ProfilesOfAccounts(store.clone())),
        remote: Arc::new(Remote::new(reach.client.clone(), reach.keyring.clone())),
        clock: clock.clone(),
    };
    let shares = Shares::of(config.memory.0);
    let bytes = |share: u64| usize::try_from(share).unwrap_or(usize::MAX);
    let settings = RoomsSettings {
        cache_bytes: bytes(shares.rooms_read),
        open_rooms_bytes: bytes(shares.open_rooms),
        omits_members: config.omit_members,
        ..RoomsSettings::default()
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Rooms::new(store.clone(), interner.clone(), outside, settings)
        .with_labour(Arc::new(Processors::new(processors)))
}

fn ingest(rooms: &Rooms, (tenancy, reach): (&Tenancy, &Reach), clock: &Arc<dyn Clock>) -> Ingest {
    Ingest::new(IngestParts {
        rooms: rooms.clone(),
        identities: Arc::new(IdentitiesOfTenants(tenancy.clone())),
        fetching: Arc::new(ClientFetching::new(reach.client.clone(), reach.keyring.clone())),
        clock: clock.clone(),
    })
}
