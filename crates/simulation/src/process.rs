//! One run of a process: the real parts, over a disk and a link of the simulation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use freehold_accounts::{
    AccountParts, AccountPolicy, AccountSettings, Accounts, NoDeviceKeys, NoMemberEvents,
};
use freehold_encryption::Encryption;
use freehold_federation::fake::{Handler, RuntimeClock, answer};
use freehold_federation::http::{Request, Response};
use freehold_federation::{
    AddressPolicy, Client, ClientFetching, ClientParts, Discovery, DiscoveryParts, Health, HealthParts,
    Ingest, IngestParts, LateMembers, Outbound, OutboundParts, Randomness, Remote, RemoteKeyring,
    RemoteKeyringParts, Web,
};
use freehold_federation_api as api;
use freehold_keyring::{FetchPolicy, Notary};
use freehold_media::{Media, MediaSettings};
use freehold_rooms::{NoProfiles, Outside, Rooms, RoomsSettings};
use freehold_store::{Actor, Batch, Clock, Interner, MemoryEngine, Store};
use freehold_sync::{NoNews, SyncService};
use freehold_testkit::Rng;
use hyper::body::Bytes;
use ruma_common::{OwnedServerName, UserId};
use tower::ServiceExt as _;

use crate::between::{AllServers, DevicesHere, ToldServers};
use crate::devices::device_of;
use crate::disk::Disk;
use crate::entropy::Stream;
use crate::hosted::Hosted;
use crate::life::Life;
use crate::wires::{Link, Place, Wires};

/// What stays of a process when it dies.
#[derive(Clone)]
pub(crate) struct Setting {
    /// Its number.
    pub(crate) place: Place,
    /// The names of its tenants.
    pub(crate) names: Vec<String>,
    /// Who they are.
    pub(crate) hosted: Hosted,
    /// Its clock, which goes a little wrong.
    pub(crate) clock: RuntimeClock,
    /// Whom it asks for the keys of those that do not answer.
    pub(crate) notaries: Vec<OwnedServerName>,
}

/// One run of a process.
pub(crate) struct Process {
    pub(crate) setting: Setting,
    pub(crate) life: Life,
    pub(crate) disk: Arc<Disk>,
    pub(crate) store: Store,
    pub(crate) rooms: Rooms,
    pub(crate) ingest: Ingest,
    pub(crate) client: Client,
    pub(crate) outbound: Outbound,
    pub(crate) encryption: Encryption,
    pub(crate) sync: SyncService,
    interner: Interner,
    router: Router,
}

/// Whoever comes back is heard again after this time at the latest, in milliseconds.
const KEYS_BACK_OFF_MS: i64 = 60 * 60 * 1000;

impl Process {
    /// Starts a process with what is durable, on the network.
    pub(crate) async fn start(
        setting: &Setting,
        wires: &Wires,
        (durable, mut rng): (Arc<MemoryEngine>, Rng),
    ) -> Arc<Self> {
        let life = Life::new();
        let disk = Arc::new(Disk::over(durable, rng.fork("disk")));
        let store = Store::open(disk.clone()).await.unwrap();
        let clock: Arc<dyn Clock> = Arc::new(setting.clock.clone());
        let stream = Arc::new(Stream::new(rng.fork("parts")));
        let randomness: Arc<dyn Randomness> = stream.clone();
        let identities = Arc::new(setting.hosted.clone());
        let ground = (&store, &clock, &randomness);
        let (client, keyring) = reach(setting, wires.link(setting.place, life.clone()), ground).await;
        let interner = Interner::new(&store);
        let outside = Outside {
            identities: identities.clone(),
            profiles: Arc::new(NoProfiles),
            remote: Arc::new(Remote::new(client.clone(), keyring.clone())),
            clock: clock.clone(),
        };
        let settings = RoomsSettings { entropy: stream, omits_members: true, ..RoomsSettings::default() };
        let rooms = Rooms::new(store.clone(), interner.clone(), outside, settings);
        let ingest = Ingest::new(IngestParts {
            rooms: rooms.clone(),
            identities: identities.clone(),
            fetching: Arc::new(ClientFetching::new(client.clone(), keyring.clone())),
            clock: clock.clone(),
        });
        let servers =
            AllServers { hosted: setting.hosted.clone(), client: client.clone(), rooms: rooms.clone() };
        let limits = freehold_encryption::Limits::default();
        let encryption = Encryption::new(store.clone(), Arc::new(servers), clock.clone(), limits);
        let outbound = outbound(setting, &ground, (&client, &rooms, &encryption)).await;
        let told = Arc::new(ToldServers(outbound.clone()));
        let news = news(told, &clock);
        let sync = SyncService::new(store.clone(), rooms.clone(), news);
        let router = api::router(services(
            (&store, &interner),
            (&setting.hosted, &clock),
            (&rooms, &ingest),
            (&client, &keyring),
            (&sync, &encryption),
        ));
        let setting = setting.clone();
        #[rustfmt::skip]
        let process = Process {
            setting, life, disk, store, rooms, ingest, client, outbound, encryption, sync, interner, router,
        };
        let process = Arc::new(process);
        process.serve(wires);
        process.run(randomness);
        process
    }

    /// Answers requests from now on.
    fn serve(self: &Arc<Self>, wires: &Wires) {
        let this = self.clone();
        let handler: Handler = Arc::new(move |request| {
            let this = this.clone();
            Box::pin(async move { this.answer(request).await })
        });
        let Setting { place, names, .. } = &self.setting;
        wires.serve(*place, (names, self.life.clone()), &handler);
    }

    /// Does what a process does without being asked.
    fn run(self: &Arc<Self>, randomness: Arc<dyn Randomness>) {
        let this = self.clone();
        tokio::spawn(async move {
            let running = this.outbound.run();
            let catching_up = this.ingest.catch_up();
            let late_members = LateMembers::new(this.ingest.clone(), randomness);
            let late_members = late_members.run_until(std::future::pending());
            let late_state = this.ingest.take_late_state_until(std::future::pending());
            this.life.during(async { tokio::join!(running, catching_up, late_members, late_state) }).await;
        });
    }

    /// The process ends as if somebody had pulled the plug; gives how many batches had become durable unsaid, and how
    /// many were lost.
    pub(crate) async fn crash(&self, rng: &mut Rng) -> (usize, usize) {
        self.life.end();
        self.disk.crash(rng).await
    }

    /// A user of one of its tenants.
    pub(crate) async fn actor(&self, user_id: &UserId) -> Option<Actor> {
        let tenant = self.setting.hosted.find(user_id.server_name().as_str())?;
        let (snapshot, mut batch) = (self.store.snapshot().ok()?, Batch::new());
        let user = self.interner.number_of(&snapshot, &user_id.to_owned(), &mut batch).await.ok()?;
        if !batch.is_empty() {
            self.store.commit(batch).await.ok()?;
        }
        Some(Actor { tenant, user_id: user_id.to_owned(), user, device: Some(device_of(user)) })
    }

    /// What its listener does with a request.
    pub(crate) async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let host = request.uri().host().unwrap_or_default();
        let Some(tenant) = self.setting.hosted.find(host) else {
            return answer(421, r#"{"errcode":"M_UNRECOGNIZED","error":"this server is not responsible"}"#);
        };
        let mut request = request.map(Body::from);
        request.extensions_mut().insert(api::Connection { tenant, address: None });
        let served = self.life.during(self.router.clone().oneshot(request)).await;
        let Some(Ok(response)) = served else { return std::future::pending().await };
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
        Response::from_parts(head, bytes)
    }
}

/// What is sent to other servers.
async fn outbound(
    setting: &Setting,
    (store, clock, randomness): &(&Store, &Arc<dyn Clock>, &Arc<dyn Randomness>),
    (client, rooms, encryption): (&Client, &Rooms, &Encryption),
) -> Outbound {
    let identities = Arc::new(setting.hosted.clone());
    let outbound = Outbound::open(OutboundParts {
        client: client.clone(),
        rooms: rooms.clone(),
        store: (*store).clone(),
        identities: identities.clone(),
        tenants: identities,
        devices: Arc::new(DevicesHere(encryption.clone())),
        clock: (*clock).clone(),
        randomness: (*randomness).clone(),
    });
    outbound.await.unwrap()
}

/// How the tenants of a process reach other servers.
async fn reach(
    setting: &Setting,
    link: Link,
    (store, clock, randomness): (&Store, &Arc<dyn Clock>, &Arc<dyn Randomness>),
) -> (Client, RemoteKeyring) {
    let identities = Arc::new(setting.hosted.clone());
    let web = Web::new(Arc::new(link), AddressPolicy::default());
    let discovery =
        Discovery::new(DiscoveryParts { web, clock: clock.clone(), randomness: randomness.clone() });
    let health = HealthParts { store: store.clone(), clock: clock.clone(), randomness: randomness.clone() };
    let health = Health::open(health).await.unwrap();
    let client =
        Client::new(ClientParts { discovery, identities: identities.clone(), health, clock: clock.clone() });
    let policy =
        FetchPolicy { in_flight_max: 256, back_off_max_ms: KEYS_BACK_OFF_MS, ..FetchPolicy::default() };
    let keyring = RemoteKeyring::new(RemoteKeyringParts {
        client: client.clone(),
        store: store.clone(),
        identities: identities.clone(),
        documents: identities,
        clock: clock.clone(),
        policy,
        notaries: setting.notaries.iter().cloned().map(notary).collect(),
    });
    (client, keyring)
}

fn notary(server_name: OwnedServerName) -> Notary {
    Notary { server_name, keys: BTreeMap::new() }
}

/// What syncs tell of, and whom people here are heard by.
fn news(servers: Arc<ToldServers>, clock: &Arc<dyn Clock>) -> freehold_sync::Outside {
    freehold_sync::Outside {
        accounts: Arc::new(NoNews),
        devices: Arc::new(NoNews),
        servers,
        presence: Arc::new(freehold_sync::PresenceForAll),
        clock: clock.clone(),
    }
}

/// What answers other servers.
fn services(
    (store, interner): (&Store, &Interner),
    (hosted, clock): (&Hosted, &Arc<dyn Clock>),
    (rooms, ingest): (&Rooms, &Ingest),
    (client, keyring): (&Client, &RemoteKeyring),
    (sync, encryption): (&SyncService, &Encryption),
) -> api::Services {
    let hosted = Arc::new(hosted.clone());
    api::Services {
        tenants: hosted.clone(),
        origin_keys: Arc::new(api::KeysOfOrigins {
            keyring: keyring.clone(),
            health: client.health().clone(),
            clock: clock.clone(),
        }),
        notary: Arc::new(keyring.clone()),
        accounts: accounts(store, interner, clock),
        rooms: rooms.clone(),
        ingest: Arc::new(ingest.clone()),
        transactions: api::Transactions::new(store.clone(), clock.clone()),
        encryption: encryption.clone(),
        sync: sync.clone(),
        media: Media::new(
            store.clone(),
            Arc::new(object_store::memory::InMemory::new()),
            hosted,
            clock.clone(),
            MediaSettings::default(),
        ),
        limits: api::Limits::new(api::LimitsSettings::OFF),
        clock: clock.clone(),
    }
}

fn accounts(store: &Store, interner: &Interner, clock: &Arc<dyn Clock>) -> Accounts {
    Accounts::new(AccountParts {
        store: store.clone(),
        interner: interner.clone(),
        clock: clock.clone(),
        policies: Arc::new(Arc::new(AccountPolicy::default())),
        device_keys: Arc::new(NoDeviceKeys),
        member_events: Arc::new(NoMemberEvents),
        settings: AccountSettings::default(),
    })
}

/// Lets time pass, and everything happen that happens meanwhile.
pub(crate) async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
