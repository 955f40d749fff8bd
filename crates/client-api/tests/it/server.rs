//! A router over real services in memory, and requests to it.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use freehold_accounts::{
    AccountParts, AccountPolicy, AccountSettings, Accounts, DeviceGone, DeviceKeys, HashCost, NoMemberEvents,
    ServerFailure,
};
use freehold_client_api::{
    Authenticate, AuthenticationError, Limits, LimitsSettings, Services, Session, Standing, TenantOfHost,
    TenantsByHost, router,
};
use freehold_encryption::{Encryption, Servers};
use freehold_keyring::Purpose;
use freehold_media::{Media, MediaPolicy, MediaSettings};
use freehold_rooms::{Identities, NoProfiles, Outside, Rooms, RoomsSettings, SigningError};
use freehold_signing::{KeyId, KeyValidity, ServerSigner, Signer, SigningKey, VerifyingKey};
use freehold_store::{
    Actor, Batch, BoxFuture, DeviceNumber, Interner, MemoryEngine, Snapshot, Store, Tenant, TenantNumber,
    UserNumber,
};
use freehold_sync::{NoNews, SyncService};
use ruma_common::{OwnedServerName, ServerName, UserId};
use serde_json::Value;
use tower::ServiceExt;

/// The time of the tests.
pub(crate) const NOW_TS: i64 = 1_800_000_000_000;

/// Two tenants in one process.
pub(crate) const ALICES: &str = "alice.example";
/// The other one.
pub(crate) const BOBS: &str = "bob.example";

/// A server of two tenants.
pub(crate) struct Server {
    router: Router,
    services: Services,
}

impl Server {
    /// The same server, for whose rooms somebody has older events.
    pub(crate) fn with_older(self, older_events: Arc<dyn freehold_client_api::OlderEvents>) -> Self {
        let services = Services { older_events, ..self.services };
        Server { router: router(services.clone()), services }
    }

    /// A server without rate limits.
    pub(crate) fn start() -> Self {
        Server::with_limits(LimitsSettings::OFF)
    }

    /// A server with these limits.
    pub(crate) fn with_limits(limits: LimitsSettings) -> Self {
        let ground = Ground::new();
        let accounts = ground.accounts(AccountPolicy::default());
        ground.server(Arc::new(TokenIsUser(ground.clone())), accounts, limits)
    }

    /// A server without rate limits over an engine.
    pub(crate) fn over(engine: Arc<dyn freehold_store::Engine>) -> Self {
        let ground = Ground::over(engine);
        let accounts = ground.accounts(AccountPolicy::default());
        ground.server(Arc::new(TokenIsUser(ground.clone())), accounts, LimitsSettings::OFF)
    }

    /// A server without rate limits over rooms that are there already, of tenants with the names and numbers of these.
    pub(crate) fn over_rooms(store: &Store, interner: &Interner, rooms: Rooms) -> Self {
        let ground = Ground { store: store.clone(), interner: interner.clone() };
        let accounts = ground.accounts(AccountPolicy::default());
        let server = ground.server(Arc::new(TokenIsUser(ground.clone())), accounts, LimitsSettings::OFF);
        let services = Services { sync: ground.sync(rooms.clone()), rooms, ..server.services };
        Server { router: router(services.clone()), services }
    }

    /// A server whose sessions are those of its accounts; both tenants have this policy.
    pub(crate) fn with_accounts(policy: AccountPolicy) -> Self {
        let ground = Ground::new();
        let accounts = ground.accounts(policy);
        ground.server(Arc::new(accounts.clone()), accounts, LimitsSettings::OFF)
    }

    /// Sends a request to [`ALICES`] or wherever `to` says.
    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        let response = self.router.clone().oneshot(ask.0).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, bytes: bytes.to_vec(), json }
    }
}

/// A request under construction.
pub(crate) struct Ask(Request<Body>);

impl Ask {
    /// A request to the tenant [`ALICES`], of nobody.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let request = Request::builder().method(method).uri(path).header("host", ALICES);
        Ask(request.body(Body::empty()).unwrap())
    }

    /// The same to another host.
    pub(crate) fn to(self, host: &str) -> Self {
        self.header("host", host)
    }

    /// The same as a user, at the user's own tenant.
    pub(crate) fn by(self, user_id: &str) -> Self {
        let server_name = user_id.split_once(':').unwrap().1.to_owned();
        self.to(&server_name).header("authorization", &format!("Bearer {user_id}"))
    }

    /// The same with an access token.
    pub(crate) fn with_token(self, access_token: &str) -> Self {
        self.header("authorization", &format!("Bearer {access_token}"))
    }

    /// The same with a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.0.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    /// The same with JSON in the body.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    /// The same with any body.
    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        *self.0.body_mut() = body.into();
        self
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

/// What all services stand on.
#[derive(Clone)]
struct Ground {
    store: Store,
    interner: Interner,
}

impl Ground {
    fn new() -> Self {
        Ground::over(Arc::new(MemoryEngine::new()))
    }

    fn over(engine: Arc<dyn freehold_store::Engine>) -> Self {
        // A test that fails shows why the server did.
        let _ = tracing_subscriber::fmt().with_test_writer().with_max_level(tracing::Level::ERROR).try_init();
        let store = now(Store::open(engine)).unwrap();
        Ground { interner: Interner::new(&store), store }
    }

    fn server(&self, sessions: Arc<dyn Authenticate>, accounts: Accounts, limits: LimitsSettings) -> Server {
        let rooms = self.rooms();
        let services = Services {
            tenants: Arc::new(TwoTenants),
            sessions,
            accounts,
            encryption: self.encryption(),
            media: self.media(),
            limits: Limits::new(limits),
            sync: self.sync(rooms.clone()),
            in_flight: freehold_client_api::InFlight::default(),
            rooms,
            older_events: Arc::new(freehold_client_api::NoOlderEvents),
            other_directories: Arc::new(freehold_client_api::NoOtherDirectories),
            clock: Arc::new(NOW_TS),
        };
        Server { router: router(services.clone()), services }
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
    fn accounts(&self, policy: AccountPolicy) -> Accounts {
        Accounts::new(AccountParts {
            interner: self.interner.clone(),
            store: self.store.clone(),
            clock: Arc::new(NOW_TS),
            policies: Arc::new(Arc::new(policy)),
            device_keys: Arc::new(KeysOfDevices(self.encryption())),
            member_events: Arc::new(NoMemberEvents),
            settings: AccountSettings {
                hash_cost: HashCost { memory_kib: 8, passes: 1 },
                ..AccountSettings::default()
            },
        })
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

struct KeysOfDevices(Encryption);

impl DeviceKeys for KeysOfDevices {
    fn is_cross_signing_key<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
        id: &'a str,
    ) -> BoxFuture<'a, Result<bool, ServerFailure>> {
        Box::pin(async move { Ok(self.0.is_cross_signing_key(snapshot, user, id).await?) })
    }

    fn remove<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        device: DeviceGone<'a>,
        batch: &'a mut Batch,
    ) -> BoxFuture<'a, Result<(), ServerFailure>> {
        Box::pin(async move {
            let DeviceGone { user, number, device_id } = device;
            Ok(self.0.device_gone(snapshot, user, (number, device_id), batch).await?)
        })
    }
}

#[derive(Clone, Copy)]
struct TwoTenants;

/// Bob's tenant gives to everybody what was uploaded before the end of time; Alice's gives nothing.
impl freehold_media::Policies for TwoTenants {
    fn policy<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, MediaPolicy> {
        let frozen_ts = if tenant.server_name() == BOBS { i64::MAX } else { i64::MIN };
        let policy = MediaPolicy { frozen_ts, user_bytes: Some(400_000), ..MediaPolicy::default() };
        Box::pin(std::future::ready(policy))
    }

    fn reach<'a>(&'a self, _: &'a Tenant, server_name: &'a ServerName) -> BoxFuture<'a, Option<Tenant>> {
        Box::pin(std::future::ready(self.tenant_of_host(server_name.as_str())))
    }
}

impl Servers for TwoTenants {
    fn reach(&self, _: &Tenant, server_name: &ServerName) -> Option<Tenant> {
        self.tenant_of_host(server_name.as_str())
    }
}

impl TwoTenants {
    fn key(tenant: &Tenant) -> SigningKey {
        SigningKey::from_seed(&[u8::try_from(tenant.number().0).unwrap(); 32])
    }
}

impl TenantsByHost for TwoTenants {
    fn tenant_of_host(&self, host: &str) -> Option<Tenant> {
        let number = [ALICES, BOBS].iter().position(|name| *name == host)?;
        let number = TenantNumber(u32::try_from(number).unwrap() + 1);
        Some(Tenant::new(number, OwnedServerName::try_from(host).unwrap()))
    }
}

impl Identities for TwoTenants {
    fn tenant(&self, server_name: &ServerName) -> Option<Tenant> {
        self.tenant_of_host(server_name.as_str())
    }

    fn signer(
        &self,
        tenant: &Tenant,
        _: Purpose<'_>,
        _: i64,
    ) -> Result<Box<dyn Signer + Send + Sync>, SigningError> {
        let key_id = KeyId::parse("ed25519:1").unwrap();
        Ok(Box::new(ServerSigner::new(tenant.server_name().to_owned(), key_id, TwoTenants::key(tenant))))
    }

    fn published_key(&self, tenant: &Tenant, _: &KeyId, now_ts: i64) -> Option<(VerifyingKey, KeyValidity)> {
        let validity = KeyValidity::Current { valid_until_ts: now_ts + 3_600_000 };
        Some((TwoTenants::key(tenant).verifying_key().clone(), validity))
    }
}

/// Tokens are user ids. The localparts `suspended` and `locked` say what their users may do.
struct TokenIsUser(Ground);

impl TokenIsUser {
    async fn session(&self, host: &TenantOfHost, token: &str) -> Result<Session, AuthenticationError> {
        let user_id = UserId::parse(token).map_err(|_| AuthenticationError::Unknown)?;
        let standing = match user_id.localpart() {
            "suspended" => Standing::Suspended,
            "locked" => Standing::Locked,
            _ => Standing::Good,
        };
        let tenant = TwoTenants.tenant_of_host(user_id.server_name().as_str()).unwrap_or(host.0.clone());
        let (snapshot, mut batch) = (self.0.store.snapshot().unwrap(), Batch::new());
        let user = self.0.interner.number_of(&snapshot, &user_id, &mut batch).await.unwrap();
        self.0.store.commit(batch).await.unwrap();
        let device = Some(DeviceNumber(user.0));
        let actor = Actor { tenant, user_id, user, device };
        Ok(Session { actor, device_id: Some("DEVICE".into()), standing })
    }
}

impl Authenticate for TokenIsUser {
    fn authenticate<'a>(
        &'a self,
        host: &'a TenantOfHost,
        access_token: &'a str,
    ) -> BoxFuture<'a, Result<Session, AuthenticationError>> {
        Box::pin(self.session(host, access_token))
    }
}
