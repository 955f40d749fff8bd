//! How many rows a tenant has in a table, for its quotas.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::Order;
use crate::key::Key;
use crate::number::TenantNumber;
use crate::store::{ReadError, Snapshot};
use crate::table::Table;

/// Counts the rows of tenants in a table, with those that are about to be written. Only tenants with a
/// quota are counted, once; all rows of the table are to be written with a place.
pub struct Places<K: 'static> {
    table: &'static Table<(TenantNumber, K), ()>,
    counts: Mutex<BTreeMap<TenantNumber, u64>>,
}

impl<K> Places<K>
where
    (TenantNumber, K): Key,
{
    /// Counts the rows of a table.
    pub fn new(table: &'static Table<(TenantNumber, K), ()>) -> Self {
        Places { table, counts: Mutex::default() }
    }

    /// Takes a place for one more row of a tenant, or `None` if it has `max` already. Without `max` there is always one, and
    /// nothing is counted.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn take(
        &self,
        snapshot: &Snapshot,
        tenant: TenantNumber,
        max: Option<u64>,
    ) -> Result<Option<Place<'_>>, ReadError> {
        let Some(max) = max else {
            self.lock().remove(&tenant);
            return Ok(Some(Place { counts: &self.counts, tenant, kept: true }));
        };
        if self.lock().get(&tenant).is_none() {
            let rows = snapshot.scan_prefix(self.table, &(tenant,), Order::Ascending, usize::MAX).await?;
            // Rows written meanwhile are in the later of two counts, or in both; the smaller one may lack some.
            let found = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            self.lock().entry(tenant).or_insert(found);
        }
        let mut counts = self.lock();
        let count = counts.entry(tenant).or_default();
        if *count >= max {
            return Ok(None);
        }
        *count += 1;
        drop(counts);
        Ok(Some(Place { counts: &self.counts, tenant, kept: false }))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantNumber, u64>> {
        lock(&self.counts)
    }
}

impl<K> fmt::Debug for Places<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("table", &self.table.name).finish_non_exhaustive()
    }
}

/// A place for one row; given back when dropped without [`Place::keep`].
#[derive(Debug)]
pub struct Place<'a> {
    counts: &'a Mutex<BTreeMap<TenantNumber, u64>>,
    tenant: TenantNumber,
    kept: bool,
}

impl Place<'_> {
    /// The row was written.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.kept
            && let Some(count) = lock(self.counts).get_mut(&self.tenant)
        {
            *count = count.saturating_sub(1);
        }
    }
}

fn lock(counts: &Mutex<BTreeMap<TenantNumber, u64>>) -> MutexGuard<'_, BTreeMap<TenantNumber, u64>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}
