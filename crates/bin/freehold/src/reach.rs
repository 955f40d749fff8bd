//! How tenants reach other servers, and what proofs of control see of the world.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use freehold_federation::{
    AddressPolicy, Client, ClientParts, Discovery, DiscoveryParts, Doctor, Health, HealthParts, Internet,
    RemoteKeyring, RemoteKeyringParts, SystemRandomness, Transport, Web, WebError, WebLimits, limits,
};
use freehold_keyring::{FetchPolicy, Notary};
use freehold_store::{BoxFuture, Clock, Store};
use freehold_tenancy::{Outside, Tenancy, Unseen};

use crate::between::{DocumentsOfTenants, IdentitiesOfTenants};
use crate::cli::Failure;
use crate::config::Config;

/// Whoever comes back is heard again after this time at the latest: without its keys it is not.
const HOUR_MS: i64 = 60 * 60 * 1000;

/// How tenants reach other servers.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) client: Client,
    pub(crate) keyring: RemoteKeyring,
    clock: Arc<dyn Clock>,
}

impl Reach {
    /// Over the internet, and the networks that are allowed.
    pub(crate) async fn open(
        config: &Config,
        store: &Store,
        (tenancy, clock): (&Tenancy, &Arc<dyn Clock>),
    ) -> Result<Self, Failure> {
        let nameservers: Vec<SocketAddr> = config.nameservers.iter().map(|server| server.0).collect();
        let transport: Arc<dyn Transport> = Arc::new(Internet::new(&config.extra_ca).asking(&nameservers));
        let allowed: Vec<_> = config.allowed_networks.iter().map(|network| network.0).collect();
        let web = Web::new(transport, AddressPolicy::new(&allowed));
        let randomness = Arc::new(SystemRandomness);
        let discovery =
            Discovery::new(DiscoveryParts { web, clock: clock.clone(), randomness: randomness.clone() });
        let health = HealthParts { store: store.clone(), clock: clock.clone(), randomness };
        let health = Health::open(health).await;
        let health = health.map_err(|error| Failure::of("cannot read the health of servers", error))?;
        let identities = Arc::new(IdentitiesOfTenants(tenancy.clone()));
        let client = Client::new(ClientParts {
            discovery,
            identities: identities.clone(),
            health,
            clock: clock.clone(),
        });
        let notary = |server_name| Notary { server_name, keys: BTreeMap::new() };
        let keyring = RemoteKeyring::new(RemoteKeyringParts {
            client: client.clone(),
            store: store.clone(),
            identities,
            documents: Arc::new(DocumentsOfTenants(tenancy.clone())),
            clock: clock.clone(),
            policy: FetchPolicy { in_flight_max: 256, back_off_max_ms: HOUR_MS, ..FetchPolicy::default() },
            notaries: config.notaries.iter().cloned().map(notary).collect(),
        });
        Ok(Reach { client, keyring, clock: clock.clone() })
    }

    /// What proofs of control look at.
    pub(crate) fn outside(&self) -> World {
        World(self.client.discovery().web().clone())
    }

    /// Who says why a server is not reached.
    pub(crate) fn doctor(&self, tenancy: &Tenancy) -> Doctor {
        Doctor {
            client: self.client.clone(),
            identities: Arc::new(IdentitiesOfTenants(tenancy.clone())),
            documents: Arc::new(DocumentsOfTenants(tenancy.clone())),
            clock: self.clock.clone(),
        }
    }
}

/// The DNS and the web, as proofs of control look at them.
pub(crate) struct World(Web);

impl Outside for World {
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, Unseen>> {
        Box::pin(async move {
            let looked = self.0.transport().txt(name).await.map_err(Unseen::because)?;
            Ok(looked.records)
        })
    }

    fn srv<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<(String, u16)>, Unseen>> {
        Box::pin(async move {
            let mut records = self.0.transport().srv(name).await.map_err(Unseen::because)?.records;
            records.sort();
            Ok(records.into_iter().map(|record| (record.target, record.port)).collect())
        })
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, Unseen>> {
        Box::pin(async move {
            let looked = self.0.transport().addresses(name).await.map_err(Unseen::because)?;
            Ok(looked.records)
        })
    }

    fn page<'a>(&'a self, host: &'a str, path: &'a str) -> BoxFuture<'a, Result<Option<String>, Unseen>> {
        Box::pin(async move {
            let limits = WebLimits {
                time: Duration::from_millis(limits::WELL_KNOWN_TIME_MS),
                bytes_max: limits::WELL_KNOWN_BYTES_MAX,
                redirections_max: limits::REDIRECTIONS_MAX,
            };
            let page = match self.0.get(&format!("https://{host}{path}"), limits).await {
                Ok(page) => page,
                Err(WebError::Status { status: 404 }) => return Ok(None),
                Err(error) => return Err(Unseen::because(error)),
            };
            let body = page.body.collect().await.map_err(Unseen::because)?;
            Ok(Some(String::from_utf8_lossy(&body).into_owned()))
        })
    }
}
