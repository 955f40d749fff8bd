//! Transactions are taken once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_store::tables::federation::{TRANSACTION_AGES, TRANSACTIONS, TransactionRow};
use freehold_store::{Batch, Clock, CommitError, Order, ReadError, Store, TenantNumber};
use ruma_common::OwnedServerName;

use super::recent::RecentEvents;
use crate::asker::Asker;
use crate::limits::{TRANSACTIONS_PAGE, TRANSACTIONS_REMEMBERED, TRANSACTIONS_REMEMBERED_MS};

/// The transactions that tenants took, and those they take now. A clone is another handle on the same.
#[derive(Clone)]
pub struct Transactions {
    store: Store,
    clock: Arc<dyn Clock>,
    under_way: Arc<Mutex<UnderWay>>,
    recent: RecentEvents,
}

type UnderWay = BTreeMap<(TenantNumber, OwnedServerName), Arc<tokio::sync::Mutex<()>>>;

/// How far a round over all remembered transactions has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RememberedCursor(Option<(TenantNumber, OwnedServerName, i64, String)>);

/// Why old transactions were not forgotten. A fault here.
#[derive(Debug, thiserror::Error)]
pub enum NotForgotten {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be written.
    #[error(transparent)]
    Commit(CommitError),
}

/// The turn of a server at a tenant.
pub(super) struct Turn {
    key: (TenantNumber, OwnedServerName),
    under_way: Arc<Mutex<UnderWay>>,
    guard: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Transactions {
    /// The transactions of a store.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Transactions { store, clock, under_way: Arc::default(), recent: RecentEvents::default() }
    }

    /// The events that were accepted lately.
    pub(super) fn recent(&self) -> &RecentEvents {
        &self.recent
    }

    /// Waits until no other transaction of the server is under way at the tenant.
    pub(super) async fn begin(&self, asker: &Asker) -> Turn {
        let key = (asker.tenant.number(), asker.origin.clone());
        let mut turn = Turn { key: key.clone(), under_way: Arc::clone(&self.under_way), guard: None };
        let lock = Arc::clone(locked(&self.under_way).entry(key).or_default());
        turn.guard = Some(lock.lock_owned().await);
        turn
    }

    /// What was answered to a transaction.
    pub(super) async fn answer(&self, asker: &Asker, id: &str) -> Result<Option<String>, ReadError> {
        let key = (asker.tenant.number(), asker.origin.clone(), id.to_owned());
        Ok(self.store.snapshot()?.get(&TRANSACTIONS, &key).await?.map(|row| row.answer))
    }

    /// Remembers an answer, and forgets the oldest ones of the server.
    pub(super) async fn remember(
        &self,
        asker: &Asker,
        (id, answer): (&str, &str),
    ) -> Result<(), CommitError> {
        let (tenant, origin, ts) = (asker.tenant.number(), asker.origin.clone(), self.clock.now_ts());
        let mut batch = Batch::new();
        let row = TransactionRow { ts, answer: answer.to_owned() };
        batch.put(&TRANSACTIONS, &(tenant, origin.clone(), id.to_owned()), &row);
        batch.put(&TRANSACTION_AGES, &(tenant, origin.clone(), ts, id.to_owned()), &());
        for age in self.old(&(tenant, origin)).await.unwrap_or_default() {
            batch.delete(&TRANSACTIONS, &(age.0, age.1.clone(), age.3.clone()));
            batch.delete(&TRANSACTION_AGES, &age);
        }
        self.store.commit(batch).await.map(drop)
    }

    /// Forgets some of the transactions that were taken long ago: of servers that never come again, nobody else would. Gives where the
    /// next step goes on; `None` at the end of the round.
    ///
    /// # Errors
    /// [`NotForgotten`].
    pub async fn forget_old(&self, from: RememberedCursor) -> Result<Option<RememberedCursor>, NotForgotten> {
        let snapshot = self.store.snapshot()?;
        let page = snapshot.scan_after(&TRANSACTION_AGES, from.0.as_ref(), TRANSACTIONS_PAGE).await?;
        let Some((last, ())) = page.last() else { return Ok(None) };
        let next = RememberedCursor(Some(last.clone()));
        let before_ts = self.clock.now_ts().saturating_sub(TRANSACTIONS_REMEMBERED_MS);
        let mut batch = Batch::new();
        for (age, ()) in page.into_iter().filter(|((.., ts, _), ())| *ts < before_ts) {
            let (tenant, origin, ts, id) = &age;
            let place = (*tenant, origin.clone(), id.clone());
            // One that was taken again since is remembered by another age.
            let row = snapshot.get(&TRANSACTIONS, &place).await?;
            if row.as_ref().is_some_and(|row| row.ts == *ts) {
                batch.expect_unchanged(&TRANSACTIONS, &place, row.as_ref());
                batch.delete(&TRANSACTIONS, &place);
            }
            batch.delete(&TRANSACTION_AGES, &age);
        }
        if !batch.is_empty() {
            match self.store.commit(batch).await {
                // One of them was taken anew just now: they come again in the next round.
                Ok(_) | Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(NotForgotten::Commit(error)),
            }
        }
        Ok(Some(next))
    }

    /// The oldest transactions of a server, as far as they are more than are remembered. What cannot be read is left for
    /// the next time.
    async fn old(
        &self,
        server: &(TenantNumber, OwnedServerName),
    ) -> Result<Vec<(TenantNumber, OwnedServerName, i64, String)>, ReadError> {
        let snapshot = self.store.snapshot()?;
        let kept = TRANSACTIONS_REMEMBERED.saturating_mul(2);
        let ages = snapshot.scan_prefix(&TRANSACTION_AGES, server, Order::Ascending, kept).await?;
        let spare = ages.len().saturating_add(1).saturating_sub(TRANSACTIONS_REMEMBERED);
        Ok(ages.into_iter().take(spare).map(|(age, ())| age).collect())
    }
}

fn locked(under_way: &Mutex<UnderWay>) -> MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut under_way = locked(&self.under_way);
        // Nobody else can be waiting for it: whoever begins takes it out of the map while that is locked.
        if under_way.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            under_way.remove(&self.key);
        }
    }
}
