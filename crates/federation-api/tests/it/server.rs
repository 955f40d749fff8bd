//! A router over real services in memory, and requests to it, signed by other servers.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use freehold_accounts::{AccountParts, AccountPolicy, AccountSettings, Accounts, DeviceGone, DeviceKeys};
use freehold_accounts::{HashCost, NoMemberEvents, ServerFailure};
use freehold_canonical_json::{Limits as JsonLimits, parse};
use freehold_encryption::Encryption;
use freehold_event::Pdu;
use freehold_federation_api::{
    Connection, Endpoint, Ingest, IngestRefusal, Limits, LimitsSettings, Notary, NotaryRefusal, OriginKeys,
    Services, Taken, Tenants, Transactions, Unserved, endpoints, router,
};
use freehold_keyring::{NotaryQuery, Purpose};
use freehold_media::{Media, MediaPolicy, MediaSettings};
use freehold_rooms::{Identities, Incoming, NoProfiles, Outside, Rooms, RoomsSettings, SigningError};
use freehold_signing::{
    KeyId, KeySource, KeyValidity, PublishedKey, Request as SignedRequest, ServerSigner, Signer, SigningKey,
    VerifyingKey, sign_request,
};
use freehold_store::{
    Actor, Batch, BoxFuture, DeviceNumber, Interner, MemoryEngine, Snapshot, Store, Tenant, TenantNumber,
    UserNumber,
};
use freehold_sync::{NoNews, SyncService};
use ruma_common::{OwnedServerName, RoomId, ServerName, UserId};
use serde_json::{Value, json};
use tower::ServiceExt;

/// The time of the tests.
pub(crate) const NOW_TS: i64 = 1_800_000_000_000;

/// Two tenants in one process.
pub(crate) const ALICES: &str = "alice.example";
/// The other one.
pub(crate) const BOBS: &str = "bob.example";
/// A server elsewhere.
pub(crate) const REMOTE: &str = "remote.example";
/// A server elsewhere with which Alice's tenant does not speak.
pub(crate) const DENIED: &str = "denied.example";
/// A server whose keys cannot be had.
pub(crate) const KEYLESS: &str = "keyless.example";
/// A server whose key ran out a moment ago.
pub(crate) const STALE: &str = "stale.example";

/// A server of whose keys so many want to be told that nobody is.
pub(crate) const WAITED_FOR: &str = "waited-for.example";

/// A server of two tenants.
pub(crate) struct Server {
    services: Services,
    router: Router,
    pub(crate) ground: Ground,
}

impl Server {
    /// A server without rate limits.
    pub(crate) fn start() -> Self {
        Server::with_limits(LimitsSettings::OFF)
    }

    /// A server with these limits.
    pub(crate) fn with_limits(limits: LimitsSettings) -> Self {
        let ground = Ground::new();
        let services = ground.services(Limits::new(limits));
        Server { router: router(services.clone()), services, ground }
    }

    /// The same server after a restart: with what the store holds and nothing else.
    pub(crate) fn restarted(&self) -> Self {
        let ground = Ground { store: self.ground.store.clone(), interner: Interner::new(&self.ground.store) };
        let services = ground.services(Limits::new(LimitsSettings::OFF));
        Server { router: router(services.clone()), services, ground }
    }

    /// What the router has.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        endpoints(self.services.clone()).list().to_vec()
    }

    /// The services behind the router.
    pub(crate) fn services(&self) -> &Services {
        &self.services
    }

    /// Sends a request to [`ALICES`] or wherever it is sent.
    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        let response = self.router.clone().oneshot(ask.into_request()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, bytes: bytes.to_vec(), json }
    }
}

/// A request under construction.
#[derive(Clone)]
pub(crate) struct Ask {
    method: String,
    path: String,
    host: String,
    origin: Option<String>,
    signed_for: Option<String>,
    names_destination: bool,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Ask {
    /// A request to the tenant [`ALICES`], of nobody.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Ask {
            method: method.to_owned(),
            path: path.to_owned(),
            host: ALICES.to_owned(),
            origin: None,
            signed_for: None,
            names_destination: true,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The same to another host.
    pub(crate) fn to(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    /// The same, signed by a server for the host that it goes to.
    pub(crate) fn by(mut self, origin: &str) -> Self {
        self.origin = Some(origin.to_owned());
        self
    }

    /// The same, signed for another destination than the host that it goes to.
    pub(crate) fn signed_for(mut self, destination: &str) -> Self {
        self.signed_for = Some(destination.to_owned());
        self
    }

    /// The same without a destination in its header; what is signed has it all the same.
    pub(crate) fn without_destination(mut self) -> Self {
        self.names_destination = false;
        self
    }

    /// The same with a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The same with JSON in the body.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.body(&body.to_string())
    }

    /// The same with any body.
    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self
    }

    /// The header that proves who asks.
    pub(crate) fn authorization(&self) -> Option<String> {
        let origin = OwnedServerName::try_from(self.origin.as_deref()?).unwrap();
        let destination = self.signed_for.as_deref().unwrap_or(&self.host);
        let destination = OwnedServerName::try_from(destination).unwrap();
        // What is no JSON cannot be signed: the signature is that of a request without it.
        let content = Some(&self.body[..]).filter(|body| parse(body, &JsonLimits::RELAXED).is_ok());
        let request =
            SignedRequest { method: &self.method, uri: &self.path, destination: &destination, content };
        let mut credentials = sign_request(&request, &signer(&origin)).unwrap();
        credentials.destination = credentials.destination.filter(|_| self.names_destination);
        Some(credentials.to_string())
    }

    fn into_request(self) -> Request<Body> {
        let mut request = Request::builder().method(&*self.method).uri(&self.path).header("host", &self.host);
        if let Some(authorization) = self.authorization() {
            request = request.header("authorization", authorization);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(Body::from(self.body)).unwrap();
        if let Some(tenant) = TwoTenants.find(&self.host) {
            let address = Some("192.0.2.1".parse().unwrap());
            request.extensions_mut().insert(Connection { tenant, address });
        }
        request
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub bytes: Vec<u8>,
    /// Its body, if it is JSON.
    pub json: Value,
}

impl Answer {
    /// Status and code of an error.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status.as_u16(), self.json["errcode"].as_str().unwrap_or_default())
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.bytes));
        self.json
    }
}

/// With what a server signs: each has a key of its own, made of its name.
pub(crate) fn signer(server: &ServerName) -> ServerSigner {
    ServerSigner::new(server.to_owned(), key_id(), key_of(server))
}

fn key_id() -> KeyId {
    KeyId::parse("ed25519:1").unwrap()
}

fn key_of(server: &ServerName) -> SigningKey {
    let mut seed = [7; 32];
    seed.iter_mut().zip(server.as_bytes()).for_each(|(place, byte)| *place = *byte);
    SigningKey::from_seed(&seed)
}

/// The keys of everybody, except of those that have none.
pub(crate) struct KeysOfAll;

/// The key of a server.
pub(crate) struct KeyOf(OwnedServerName, VerifyingKey);

impl KeySource for KeyOf {
    fn key(&self, server: &ServerName, asked: &KeyId) -> Option<PublishedKey<'_>> {
        let valid_until_ts = if *server == STALE { NOW_TS - 1 } else { NOW_TS + 3_600_000 };
        let known = *server == *self.0 && *asked == key_id() && *server != KEYLESS;
        known.then_some(PublishedKey { key: &self.1, validity: KeyValidity::Current { valid_until_ts } })
    }
}

impl OriginKeys for KeysOfAll {
    fn keys<'a>(
        &'a self,
        _: &'a Tenant,
        origin: &'a ServerName,
        _: &'a KeyId,
    ) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        let key = KeyOf(origin.to_owned(), key_of(origin).verifying_key().clone());
        Box::pin(std::future::ready(Box::new(key) as Box<dyn KeySource + Send + Sync>))
    }
}

/// The keys of everybody at once.
struct KeysOfEverybody(Vec<KeyOf>);

impl KeySource for KeysOfEverybody {
    fn key(&self, server: &ServerName, asked: &KeyId) -> Option<PublishedKey<'_>> {
        self.0.iter().find_map(|one| one.key(server, asked))
    }
}

/// Events go into rooms, with the keys of everybody; nothing that is missing is fetched.
struct IntoRooms(Rooms);

impl Ingest for IntoRooms {
    fn take<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        (room_id, events): (&'a RoomId, Vec<String>),
    ) -> BoxFuture<'a, Result<Vec<Option<Taken>>, IngestRefusal>> {
        Box::pin(async move {
            let reader = self.0.reader().unwrap();
            let room = reader.room_number(room_id).await.unwrap().unwrap();
            let version = reader.room(room).await.unwrap().unwrap().version;
            let mut taken = Vec::new();
            for json in events {
                let Ok(pdu) = Pdu::parse(json.as_bytes(), version) else {
                    taken.push(None);
                    continue;
                };
                let wanted = freehold_signing::wanted_keys(&pdu).unwrap();
                let key =
                    |server: &ServerName| KeyOf(server.to_owned(), key_of(server).verifying_key().clone());
                let keys = KeysOfEverybody(wanted.iter().map(|wanted| key(&wanted.server)).collect());
                let incoming = self.0.receive(room_id, json.as_bytes(), &keys).await.unwrap();
                let refused = match incoming {
                    Incoming::Known | Incoming::Kept(None) => None,
                    other => Some(format!("{other:?}")),
                };
                let event_id = pdu.event_id().to_owned();
                taken.push(Some(Taken { event_id, refused, is_held: false }));
            }
            Ok(taken)
        })
    }
}

/// What all services stand on.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) store: Store,
    pub(crate) interner: Interner,
}

impl Ground {
    fn new() -> Self {
        // A test that fails shows why the server did.
        let _ = tracing_subscriber::fmt().with_test_writer().with_max_level(tracing::Level::ERROR).try_init();
        let store = now(Store::open(Arc::new(MemoryEngine::new()))).unwrap();
        Ground { interner: Interner::new(&store), store }
    }

    fn services(&self, limits: Limits) -> Services {
        let rooms = self.rooms();
        Services {
            tenants: Arc::new(TwoTenants),
            origin_keys: Arc::new(KeysOfAll),
            notary: Arc::new(TwoTenants),
            accounts: self.accounts(),
            ingest: Arc::new(IntoRooms(rooms.clone())),
            transactions: Transactions::new(self.store.clone(), Arc::new(NOW_TS)),
            encryption: self.encryption(),
            sync: self.sync(rooms.clone()),
            rooms,
            media: self.media(),
            limits,
            clock: Arc::new(NOW_TS),
        }
    }

    fn encryption(&self) -> Encryption {
        let bounds = freehold_encryption::Limits::default();
        Encryption::new(self.store.clone(), Arc::new(TwoTenants), Arc::new(NOW_TS), bounds)
    }

    fn sync(&self, rooms: Rooms) -> SyncService {
        let outside = freehold_sync::Outside {
            accounts: Arc::new(NoNews),
            devices: Arc::new(NoNews),
            servers: Arc::new(freehold_sync::NoOtherServers),
            presence: Arc::new(freehold_sync::PresenceForAll),
            clock: Arc::new(NOW_TS),
        };
        SyncService::new(self.store.clone(), rooms, outside)
    }

    fn media(&self) -> Media {
        let objects = Arc::new(object_store::memory::InMemory::new());
        let settings = MediaSettings { file_bytes: 200_000, ..MediaSettings::default() };
        Media::new(self.store.clone(), objects, Arc::new(TwoTenants), Arc::new(NOW_TS), settings)
    }

    fn rooms(&self) -> Rooms {
        let outside = Outside {
            identities: Arc::new(TwoTenants),
            profiles: Arc::new(NoProfiles),
            remote: Arc::new(freehold_rooms::NoRemoteServers),
            clock: Arc::new(NOW_TS),
        };
        Rooms::new(self.store.clone(), self.interner.clone(), outside, RoomsSettings::default())
    }

    /// Accounts whose passwords are hashed as cheaply as possible.
    fn accounts(&self) -> Accounts {
        Accounts::new(AccountParts {
            interner: self.interner.clone(),
            store: self.store.clone(),
            clock: Arc::new(NOW_TS),
            policies: Arc::new(Arc::new(AccountPolicy::default())),
            device_keys: Arc::new(NoKeys),
            member_events: Arc::new(NoMemberEvents),
            settings: AccountSettings {
                hash_cost: HashCost { memory_kib: 8, passes: 1 },
                ..AccountSettings::default()
            },
        })
    }

    /// A user of a tenant.
    pub(crate) async fn actor(&self, user_id: &str) -> Actor {
        let user_id = UserId::parse(user_id).unwrap();
        let tenant = TwoTenants.find(user_id.server_name().as_str()).unwrap();
        let (snapshot, mut batch) = (self.store.snapshot().unwrap(), Batch::new());
        let user = self.interner.number_of(&snapshot, &user_id, &mut batch).await.unwrap();
        self.store.commit(batch).await.unwrap();
        Actor { tenant, user_id, user, device: Some(DeviceNumber(user.0)) }
    }
}

/// What a future of the memory engine gives, which is ready at once.
#[expect(clippy::panic, reason = "a test that cannot go on fails")]
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the memory engine made somebody wait"),
    }
}

/// Devices without keys.
struct NoKeys;

impl DeviceKeys for NoKeys {
    fn is_cross_signing_key<'a>(
        &'a self,
        _: &'a Snapshot,
        _: UserNumber,
        _: &'a str,
    ) -> BoxFuture<'a, Result<bool, ServerFailure>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn remove<'a>(
        &'a self,
        _: &'a Snapshot,
        _: DeviceGone<'a>,
        _: &'a mut Batch,
    ) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[derive(Clone, Copy)]
pub(crate) struct TwoTenants;

impl TwoTenants {
    pub(crate) fn find(self, host: &str) -> Option<Tenant> {
        let number = [ALICES, BOBS].iter().position(|name| *name == host)?;
        let number = TenantNumber(u32::try_from(number).unwrap() + 1);
        Some(Tenant::new(number, OwnedServerName::try_from(host).unwrap()))
    }
}

impl Tenants for TwoTenants {
    fn speaks_with(&self, tenant: &Tenant, server: &ServerName) -> bool {
        !(tenant.server_name() == ALICES && server == DENIED)
    }

    fn key_document(&self, tenant: &Tenant, _: i64) -> Result<Vec<u8>, Unserved> {
        Ok(json!({ "server_name": tenant.server_name() }).to_string().into_bytes())
    }
}

impl Notary for TwoTenants {
    fn answer<'a>(
        &'a self,
        tenant: &'a Tenant,
        query: &'a NotaryQuery,
    ) -> BoxFuture<'a, Result<Vec<u8>, NotaryRefusal>> {
        let servers: Vec<&ServerName> = query.servers().collect();
        if servers.contains(&<&ServerName>::try_from(WAITED_FOR).unwrap()) {
            return Box::pin(std::future::ready(Err(NotaryRefusal::Busy)));
        }
        let answer = json!({ "notary": tenant.server_name(), "servers": servers });
        Box::pin(std::future::ready(Ok(answer.to_string().into_bytes())))
    }
}

impl freehold_encryption::Servers for TwoTenants {
    fn reach(&self, _: &Tenant, server_name: &ServerName) -> Option<Tenant> {
        self.find(server_name.as_str())
    }
}

impl freehold_media::Policies for TwoTenants {
    fn policy<'a>(&'a self, _: &'a Tenant) -> BoxFuture<'a, MediaPolicy> {
        Box::pin(std::future::ready(MediaPolicy::default()))
    }

    fn reach<'a>(&'a self, _: &'a Tenant, server_name: &'a ServerName) -> BoxFuture<'a, Option<Tenant>> {
        Box::pin(std::future::ready(self.find(server_name.as_str())))
    }
}

impl Identities for TwoTenants {
    fn tenant(&self, server_name: &ServerName) -> Option<Tenant> {
        self.find(server_name.as_str())
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
