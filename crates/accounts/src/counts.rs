//! How many accounts a tenant has, for its quota.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::tables::accounts::TENANT_ACCOUNTS;
use freehold_store::{Order, ReadError, Snapshot, TenantNumber};

/// Counts of accounts, with those that are about to be made. Only tenants with a quota are counted.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<BTreeMap<TenantNumber, u64>>);

impl Counts {
    /// Takes a place for one more account of a tenant, or `None` if it has `max` already.
    pub(crate) async fn take(
        &self,
        snapshot: &Snapshot,
        tenant: TenantNumber,
        max: u64,
    ) -> Result<Option<Place<'_>>, ReadError> {
        if self.lock().get(&tenant).is_none() {
            let rows =
                snapshot.scan_prefix(&TENANT_ACCOUNTS, &(tenant,), Order::Ascending, usize::MAX).await?;
            // Accounts made meanwhile are in the later of two counts, or in both; the smaller one may lack some.
            let found = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            self.lock().entry(tenant).or_insert(found);
        }
        let mut counts = self.lock();
        let count = counts.entry(tenant).or_default();
        if *count >= max {
            return Ok(None);
        }
        *count += 1;
        Ok(Some(Place { counts: self, tenant, kept: false }))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantNumber, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for one account; given back when dropped without [`Place::keep`].
#[derive(Debug)]
pub(crate) struct Place<'a> {
    counts: &'a Counts,
    tenant: TenantNumber,
    kept: bool,
}

impl Place<'_> {
    /// The account was made.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.kept
            && let Some(count) = self.counts.lock().get_mut(&self.tenant)
        {
            *count = count.saturating_sub(1);
        }
    }
}
