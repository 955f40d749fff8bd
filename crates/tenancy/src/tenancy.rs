//! The tenants of this process.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use freehold_store::tables::tenancy::{Control, POLICIES, PROOFS, ProofRow, TENANTS, TenantRow, TenantState};
use freehold_store::{
    Clock, CommitError, Order, ReadError, Snapshot, Store, Table, Tenant, TenantNumber, Value,
};
use ruma_common::ServerName;
use thiserror::Error;

use crate::hostname::BaseDomain;
use crate::index::{Entry, Index};
use crate::keys::TenantKeyring;
use crate::policy::PolicyCache;
use crate::proof::minute_of;

/// The tenants of this process. A clone is another handle on the same.
#[derive(Clone)]
pub struct Tenancy(Arc<Inner>);

struct Inner {
    store: Store,
    keys: Arc<TenantKeyring>,
    clock: Arc<dyn Clock>,
    settings: TenancySettings,
    index: RwLock<Index>,
    policies: PolicyCache,
    /// Held while a tenant is changed, from reading its row to the change of the index.
    changing: tokio::sync::Mutex<()>,
}

/// What the operator has settled for all tenants.
#[derive(Clone, Debug, Default)]
pub struct TenancySettings {
    /// Below which tenants get their hostnames.
    pub base_domain: Option<BaseDomain>,
    /// How long a tenant that leaves can come back, in milliseconds.
    pub grace_ms: i64,
}

/// What is known of a tenant without reading the store.
#[derive(Clone, Debug)]
pub struct Found {
    /// The tenant.
    pub tenant: Tenant,
    /// What it may do.
    pub state: TenantState,
    /// Why control of its domain is believed.
    pub control: Control,
}

/// A tenant with everything that is written down about it.
#[derive(Clone, Debug)]
pub struct TenantFacts {
    /// The tenant.
    pub tenant: Tenant,
    /// Its row.
    pub row: TenantRow,
    /// What came of looking whether it controls its domain.
    pub proof: Option<ProofRow>,
}

impl Tenancy {
    /// The tenants that a store holds.
    ///
    /// # Errors
    /// [`OpenTenancyError`].
    pub async fn open(
        store: Store,
        keys: Arc<TenantKeyring>,
        clock: Arc<dyn Clock>,
        settings: TenancySettings,
    ) -> Result<Self, OpenTenancyError> {
        let index = RwLock::new(load(&store).await?);
        let (policies, changing) = (PolicyCache::default(), tokio::sync::Mutex::new(()));
        Ok(Tenancy(Arc::new(Inner { store, keys, clock, settings, index, policies, changing })))
    }

    /// The tenant with this server name, unless it departed.
    pub fn by_server_name(&self, server_name: &ServerName) -> Option<Found> {
        present(self.index().by_server_name(server_name.as_str()))
    }

    /// The tenant that a `Host` header or SNI name leads to, unless it departed.
    pub fn by_host(&self, host: &str) -> Option<Found> {
        present(self.index().by_host(host))
    }

    /// The tenant of this number, unless it departed.
    pub fn by_number(&self, number: TenantNumber) -> Option<Found> {
        present(self.index().get(number))
    }

    /// The hostnames of a tenant; the first is published.
    pub fn hostnames(&self, tenant: &Tenant) -> Vec<String> {
        let index = self.index();
        let entry = index.get(tenant.number());
        entry
            .map(|entry| entry.hostnames.iter().map(|name| (**name).to_owned()).collect())
            .unwrap_or_default()
    }

    /// Whether there is a tenant that does not keep everything for ever, in service or not.
    pub fn some_forget(&self) -> bool {
        self.index().after(TenantNumber(0)).any(|entry| entry.forgets && entry.state != TenantState::Departed)
    }

    /// How many tenants there are and were.
    pub fn count(&self) -> usize {
        self.index().len()
    }

    /// How many tenants are in each state, by the state's name.
    pub fn count_by_state(&self) -> [(&'static str, usize); 5] {
        use TenantState::{Active, Departed, Leaving, Pending, Suspended};
        let index = self.index();
        let count = |state| index.after(TenantNumber(0)).filter(|entry| entry.state == state).count();
        [
            ("pending", count(Pending)),
            ("active", count(Active)),
            ("suspended", count(Suspended)),
            ("leaving", count(Leaving)),
            ("departed", count(Departed)),
        ]
    }

    /// Up to `limit` tenants after `after`, in the order in which they came; departed ones among them.
    pub fn list(&self, after: TenantNumber, limit: usize) -> Vec<Found> {
        self.index().after(after).take(limit).map(found).collect()
    }

    /// Everything that is written down about a tenant, also a departed one.
    ///
    /// # Errors
    /// [`TenancyError`].
    pub async fn facts(&self, server_name: &ServerName) -> Result<TenantFacts, TenancyError> {
        let tenant = self.index().by_server_name(server_name.as_str()).map(|entry| entry.tenant.clone());
        let tenant = tenant.ok_or_else(|| TenancyError::unknown(server_name))?;
        let snapshot = self.store().snapshot()?;
        let row = snapshot.get(&TENANTS, &tenant.number()).await?;
        let proof = snapshot.get(&PROOFS, &tenant.number()).await?;
        Ok(TenantFacts { tenant, row: row.ok_or_else(|| TenancyError::unknown(server_name))?, proof })
    }

    /// Whether a tenant and a server speak with each other: neither the policy of the one nor, if it is hosted here, that
    /// of the other says no.
    pub fn speak(&self, tenant: &Tenant, server: &ServerName) -> bool {
        let index = self.index();
        let lets = |entry: &Entry, server: &ServerName| {
            entry.federation.as_deref().is_none_or(|federation| federation.allows(server))
        };
        index.get(tenant.number()).is_none_or(|own| lets(own, server))
            && index.by_server_name(server.as_str()).is_none_or(|other| lets(other, tenant.server_name()))
    }

    /// The tenant in service that answers for `server` when `asker` asks it, as if both were servers of their own; a
    /// tenant reaches itself.
    pub fn reach(&self, asker: &Tenant, server: &ServerName) -> Option<Tenant> {
        if server == asker.server_name() {
            return Some(asker.clone());
        }
        let found = self.by_server_name(server).filter(|found| found.state == TenantState::Active)?;
        self.speak(asker, server).then_some(found.tenant)
    }

    /// The keys of all tenants.
    pub fn keys(&self) -> &TenantKeyring {
        &self.0.keys
    }

    /// What the operator has settled for all tenants.
    pub fn settings(&self) -> &TenancySettings {
        &self.0.settings
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn now_ts(&self) -> i64 {
        self.0.clock.now_ts()
    }

    pub(crate) fn policies(&self) -> &PolicyCache {
        &self.0.policies
    }

    pub(crate) async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.changing.lock().await
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.0.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.0.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tenancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenancy({})", self.count())
    }
}

fn present(entry: Option<&Entry>) -> Option<Found> {
    entry.filter(|entry| entry.state != TenantState::Departed).map(found)
}

fn found(entry: &Entry) -> Found {
    Found { tenant: entry.tenant.clone(), state: entry.state, control: entry.control }
}

/// How many rows are read at a time.
const PAGE: usize = 1000;

async fn load(store: &Store) -> Result<Index, OpenTenancyError> {
    let snapshot = store.snapshot()?;
    let mut index = Index::default();
    let mut gap = None;
    each_row(&snapshot, &TENANTS, |number, row| {
        if !index.set(Entry::new(number, &row)) {
            gap.get_or_insert(number);
        }
    })
    .await?;
    if let Some(number) = gap {
        return Err(OpenTenancyError::Gap { number });
    }
    let mut malformed = None;
    each_row(&snapshot, &POLICIES, |number, text| match serde_json::from_str(&text) {
        Ok(policy) => index.set_policy(number, &policy),
        Err(source) => malformed = Some(OpenTenancyError::Policy { number, source }),
    })
    .await?;
    if let Some(error) = malformed {
        return Err(error);
    }
    each_row(&snapshot, &PROOFS, |number, proof| index.set_checked(number, minute_of(proof.checked_ts)))
        .await?;
    Ok(index)
}

async fn each_row<V: Value>(
    snapshot: &Snapshot,
    table: &Table<TenantNumber, V>,
    mut take: impl FnMut(TenantNumber, V),
) -> Result<(), ReadError> {
    let mut next = TenantNumber(0);
    loop {
        let range = (&next, &TenantNumber(u32::MAX));
        let rows = snapshot.scan_range(table, range, Order::Ascending, PAGE).await?;
        let last = rows.last().map(|(number, _)| *number).filter(|_| rows.len() == PAGE);
        rows.into_iter().for_each(|(number, row)| take(number, row));
        match last {
            Some(last) => next = TenantNumber(last.0.saturating_add(1)),
            None => return Ok(()),
        }
    }
}

/// The tenants cannot be read from the store.
#[derive(Debug, Error)]
pub enum OpenTenancyError {
    /// The store failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A tenant is missing before this one; the store was damaged or changed by hand.
    #[error("the tenant before number {number} is missing in the store")]
    Gap {
        /// The number of the tenant after the gap.
        number: TenantNumber,
    },
    /// The policy of a tenant is none.
    #[error("the policy of tenant number {number} cannot be read")]
    Policy {
        /// The number of the tenant.
        number: TenantNumber,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Why nothing can be said or changed about a tenant.
#[derive(Debug, Error)]
pub enum TenancyError {
    /// No tenant has this name.
    #[error("there is no tenant `{server_name}`")]
    Unknown {
        /// The name asked for.
        server_name: String,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be written.
    #[error("store did not take the change")]
    Commit(#[from] CommitError),
}

impl TenancyError {
    pub(crate) fn unknown(server_name: &ServerName) -> Self {
        TenancyError::Unknown { server_name: server_name.as_str().to_owned() }
    }
}
