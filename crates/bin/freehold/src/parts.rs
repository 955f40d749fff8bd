//! The one place where all parts meet: store, tenants, services, APIs.

use std::sync::Arc;

use freehold_admin_api::Desk;
use freehold_store::{Clock, MemoryEngine, Store};
use freehold_tenancy::{BaseDomain, Tenancy, TenancySettings, open_keys, read_master_key};

use crate::cli::Failure;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::data::Data;

/// Everything that a server is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) tenancy: Tenancy,
    pub(crate) desk: Desk,
    pub(crate) clock: Arc<dyn Clock>,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Parts {
    /// Opens what the data directory holds and puts the parts together.
    pub(crate) async fn open(config: &Config, data: &Data) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Store::open(Arc::new(MemoryEngine::new()));
        let store = store.await.map_err(|error| Failure::of("cannot open the store")(error.into()))?;
        let tenancy = tenancy(config, data, store, clock.clone()).await?;
        Ok(Parts { desk: Desk::new(tenancy.clone()), tenancy, clock })
    }
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
    let master =
        read_master_key(&master_key).map_err(|error| Failure::of("cannot open the keys")(error.into()))?;
    let keys = open_keys(&data.path().join("keys.log"), master)
        .map_err(|error| Failure::of("cannot open the keys")(error.into()))?;
    Tenancy::open(store, Arc::new(keys), clock, settings)
        .await
        .map_err(|error| Failure::of("cannot read the tenants")(error.into()))
}
