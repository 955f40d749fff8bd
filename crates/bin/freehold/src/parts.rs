//! The one place where all parts meet: store, tenants, services, APIs.

use std::sync::Arc;

use axum::Router;
use freehold_accounts::{AccountParts, AccountSettings, Accounts, NoDeviceKeys, NoMemberEvents};
use freehold_admin_api::Desk;
use freehold_client_api::{self as client_api, Limits, LimitsSettings};
use freehold_store::{Clock, Interner, Store};
use freehold_store_fjall::{FjallEngine, Settings};
use freehold_tenancy::{BaseDomain, Tenancy, TenancySettings, open_keys, read_master_key};

use crate::account_policies::AccountPolicies;
use crate::cli::Failure;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::data::Data;
use crate::gate::InService;

/// Everything that a server is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) tenancy: Tenancy,
    pub(crate) accounts: Accounts,
    pub(crate) desk: Desk,
    pub(crate) clock: Arc<dyn Clock>,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Parts {
    /// Opens what the data directory holds and puts the parts together.
    pub(crate) async fn open(config: &Config, data: &Data) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = store(config, data).await?;
        let tenancy = tenancy(config, data, store.clone(), clock.clone()).await?;
        let accounts = accounts(store, clock.clone(), tenancy.clone());
        Ok(Parts { desk: Desk::new(tenancy.clone()), tenancy, accounts, clock })
    }

    /// The client-server API over these parts.
    pub(crate) fn client_api(&self) -> Router {
        client_api::router(client_api::Services {
            tenants: Arc::new(InService(self.tenancy.clone())),
            sessions: Arc::new(self.accounts.clone()),
            accounts: self.accounts.clone(),
            limits: Limits::new(LimitsSettings::default()),
            clock: self.clock.clone(),
        })
    }
}

async fn store(config: &Config, data: &Data) -> Result<Store, Failure> {
    // The rest is for the caches of the services.
    let settings = Settings { cache_bytes: config.memory.0 / 2, ..Settings::default() };
    let engine = FjallEngine::open(data.path().join("store"), settings);
    let engine = engine.map_err(|error| Failure::of("cannot open the store", error))?;
    Store::open(Arc::new(engine)).await.map_err(|error| Failure::of("cannot open the store", error))
}

async fn tenancy(
    config: &Config,
    data: &Data,
    store: Store,
    clock: Arc<dyn Clock>,
) -> Result<Tenancy, Failure> {
    let base_domain = config.base_domain.as_deref().map(BaseDomain::parse).transpose();
    let base_domain = base_domain.map_err(|error| Failure::Usage(format!("base_domain: {error}")))?;
    let settings = TenancySettings { base_domain, grace_ms: i64::from(config.grace_days) * DAY_MS };
    let own_master_key = || data.path().join("master.key");
    let master_key = config.master_key.clone().unwrap_or_else(own_master_key);
    let master = read_master_key(&master_key).map_err(|error| Failure::of("cannot open the keys", error))?;
    let keys = open_keys(&data.path().join("keys.log"), master)
        .map_err(|error| Failure::of("cannot open the keys", error))?;
    Tenancy::open(store, Arc::new(keys), clock, settings)
        .await
        .map_err(|error| Failure::of("cannot read the tenants", error))
}

fn accounts(store: Store, clock: Arc<dyn Clock>, tenancy: Tenancy) -> Accounts {
    Accounts::new(AccountParts {
        interner: Interner::new(&store),
        store,
        clock,
        policies: Arc::new(AccountPolicies(tenancy)),
        device_keys: Arc::new(NoDeviceKeys),
        member_events: Arc::new(NoMemberEvents),
        settings: AccountSettings::default(),
    })
}
