//! A small world: a network in memory, tenants, and what reaches from the ones to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_canonical_json::{Object, Value};
use freehold_federation::fake::{Network, RuntimeClock, Seeded, answer};
use freehold_federation::{
    AddressPolicy, Client, ClientParts, Discovery, DiscoveryParts, Health, HealthParts, OwnDocuments,
    Randomness, RemoteKeyring, RemoteKeyringParts, Web,
};
use freehold_keyring::{FetchPolicy, Notary, Purpose};
use freehold_rooms::{Identities, SigningError};
use freehold_signing::{
    KeyId, KeyValidity, ServerSigner, Signer, SigningKey, VerifyingKey, WantedKey, sign_json,
};
use freehold_store::{Clock, MemoryEngine, Store, Tenant, TenantNumber};
use hyper::body::Bytes;
use hyper::{Request, Response};
use ruma_common::{OwnedServerName, ServerName};

/// Where all clocks begin.
pub(crate) const START_TS: i64 = 1_800_000_000_000;
pub(crate) const HOUR_MS: i64 = 60 * 60 * 1000;

/// A signing key that is the same on every run, and that nobody would guess.
pub(crate) fn signing_key(server: &str) -> SigningKey {
    let seed = server.bytes().fold(7_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let random = Seeded::new(seed);
    let mut bytes = [0; 32];
    bytes.fill_with(|| u8::try_from(random.next() >> 56).unwrap());
    SigningKey::from_seed(&bytes)
}

pub(crate) fn key_id() -> KeyId {
    KeyId::ed25519("a_1").unwrap()
}

pub(crate) fn signer(server: &str) -> ServerSigner {
    ServerSigner::new(server.try_into().unwrap(), key_id(), signing_key(server))
}

/// The key document of a server.
pub(crate) fn key_document(server: &str, valid_until_ts: i64) -> Vec<u8> {
    let key = signing_key(server).verifying_key().to_base64();
    let mut keys = Object::new();
    keys.insert(key_id().as_str().to_owned(), Object::from_iter([("key", Value::from(key))]));
    let mut document = Object::new();
    document.insert("server_name", Value::from(server.to_owned()));
    document.insert("valid_until_ts", Value::from(valid_until_ts));
    document.insert("verify_keys", keys);
    document.insert("old_verify_keys", Object::new());
    sign_json(&mut document, &signer(server)).unwrap();
    document.to_canonical_vec()
}

/// What a well-behaved server answers to questions for its keys and version.
pub(crate) fn ordinary(server: &str) -> impl Fn(Request<Bytes>) -> Response<Bytes> + Send + Sync + use<> {
    let document = key_document(server, START_TS + 24 * HOUR_MS);
    move |request| match request.uri().path() {
        "/_matrix/key/v2/server" => answer(200, document.clone()),
        "/_matrix/federation/v1/version" => answer(200, r#"{"server":{"name":"Example","version":"1.2"}}"#),
        _ => answer(404, r#"{"errcode":"M_UNRECOGNIZED","error":"no such thing"}"#),
    }
}

/// Who is hosted: `alice.example` and `bob.example`, who do not speak with `denied.example`.
#[derive(Default)]
pub(crate) struct Tenants;

pub(crate) fn tenant(name: &str) -> Tenant {
    let number = if name.starts_with('a') { 1 } else { 2 };
    Tenant::new(TenantNumber(number), name.try_into().unwrap())
}

impl Identities for Tenants {
    fn tenant(&self, server_name: &ServerName) -> Option<Tenant> {
        let hosted = BTreeSet::from(["alice.example", "bob.example"]);
        hosted.contains(server_name.as_str()).then(|| tenant(server_name.as_str()))
    }

    fn signer(
        &self,
        tenant: &Tenant,
        _: Purpose<'_>,
        _: i64,
    ) -> Result<Box<dyn Signer + Send + Sync>, SigningError> {
        Ok(Box::new(signer(tenant.server_name().as_str())))
    }

    fn published_key(
        &self,
        tenant: &Tenant,
        key: &KeyId,
        now_ts: i64,
    ) -> Option<(VerifyingKey, KeyValidity)> {
        let published = signing_key(tenant.server_name().as_str()).verifying_key().clone();
        let validity = KeyValidity::Current { valid_until_ts: now_ts + HOUR_MS };
        (*key == key_id()).then_some((published, validity))
    }

    fn speak(&self, _: &Tenant, server: &ServerName) -> bool {
        server != "denied.example"
    }
}

impl OwnDocuments for Tenants {
    fn key_document(&self, tenant: &Tenant, now_ts: i64) -> Option<Vec<u8>> {
        Some(key_document(tenant.server_name().as_str(), now_ts + HOUR_MS))
    }
}

/// Everything that reaches other servers, over one network.
pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) clock: Arc<RuntimeClock>,
    pub(crate) store: Store,
    pub(crate) health: Health,
    pub(crate) discovery: Discovery,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn new() -> Self {
        let store = Store::open(Arc::new(MemoryEngine::new())).await.unwrap();
        World::over(Network::default(), store, Arc::new(RuntimeClock::new(START_TS))).await
    }

    /// A process that starts with what is there.
    pub(crate) async fn over(network: Network, store: Store, clock: Arc<RuntimeClock>) -> Self {
        let randomness = Arc::new(Seeded::new(1));
        let parts =
            HealthParts { store: store.clone(), clock: clock.clone(), randomness: randomness.clone() };
        let health = Health::open(parts).await.unwrap();
        let web = Web::new(Arc::new(network.clone()), AddressPolicy::default());
        let discovery = Discovery::new(DiscoveryParts { web, clock: clock.clone(), randomness });
        let client = Client::new(ClientParts {
            discovery: discovery.clone(),
            identities: Arc::new(Tenants),
            health: health.clone(),
            clock: clock.clone(),
        });
        World { network, clock, store, health, discovery, client }
    }

    pub(crate) fn keyring(&self, notaries: &[&str]) -> RemoteKeyring {
        let notary = |name: &&str| Notary { server_name: server(name), keys: BTreeMap::new() };
        RemoteKeyring::new(RemoteKeyringParts {
            client: self.client.clone(),
            store: self.store.clone(),
            identities: Arc::new(Tenants),
            documents: Arc::new(Tenants),
            clock: self.clock.clone(),
            policy: FetchPolicy::default(),
            notaries: notaries.iter().map(notary).collect(),
        })
    }

    /// Puts a well-behaved server at its own name and port 8448.
    pub(crate) fn ordinary_server(&self, name: &str) -> std::net::SocketAddr {
        self.network.host(name, 8448, ordinary(name))
    }

    pub(crate) fn now_ts(&self) -> i64 {
        self.clock.now_ts()
    }

    /// How many requests for a path were sent since this was last asked; others are forgotten.
    pub(crate) fn sent(&self, path: &str) -> usize {
        self.network.sent().iter().filter(|sent| sent.request.uri().path() == path).count()
    }
}

pub(crate) fn server(name: &str) -> OwnedServerName {
    name.try_into().unwrap()
}

pub(crate) fn wanted(name: &str, minimum_valid_until_ts: i64) -> WantedKey {
    WantedKey { server: server(name), key_id: key_id(), minimum_valid_until_ts: Some(minimum_valid_until_ts) }
}

/// Lets time pass, and everything happen that happens meanwhile.
pub(crate) async fn pass(time_ms: i64) {
    tokio::time::sleep(std::time::Duration::from_millis(u64::try_from(time_ms).unwrap())).await;
}
