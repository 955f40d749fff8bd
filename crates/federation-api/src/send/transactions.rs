//! Transactions are taken once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_store::tables::federation::{TRANSACTION_AGES, TRANSACTIONS, TransactionRow};
use freehold_store::{Batch, Clock, CommitError, Order, ReadError, Store, TenantNumber};
use ruma_common::OwnedServerName;

use super::recent::RecentEvents;
use crate::asker::Asker;
use crate::limits::{
    TRANSACTIONS_NOTED_MAX, TRANSACTIONS_PAGE, TRANSACTIONS_REMEMBERED, TRANSACTIONS_REMEMBERED_MS,
};

/// How long answers that are noted are collected before they are written. Most are written with what comes next.
const COLLECTED_FOR: Duration = Duration::from_millis(50);
/// How long a failed write waits before it is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// The transactions that tenants took, and those they take now. A clone is another handle on the same.
#[derive(Clone)]
pub struct Transactions {
    store: Store,
    clock: Arc<dyn Clock>,
    under_way: Arc<Mutex<UnderWay>>,
    noted: Arc<Mutex<Noted>>,
    recent: RecentEvents,
}

/// A tenant, a server, and the id of a transaction that it sent.
type TransactionKey = (TenantNumber, OwnedServerName, String);

/// Answers that are not written yet.
#[derive(Default)]
struct Noted {
    rows: BTreeMap<TransactionKey, TransactionRow>,
    is_writing: bool,
}

/// What becomes of an answer that is noted.
enum Put {
    /// Somebody writes what is noted.
    Written,
    /// Nobody does yet.
    First,
    /// It is not noted.
    TooMany,
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
        let (under_way, noted) = (Arc::default(), Arc::default());
        Transactions { store, clock, under_way, noted, recent: RecentEvents::default() }
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
        if let Some(row) = locked(&self.noted).rows.get(&key) {
            return Ok(Some(row.answer.clone()));
        }
        Ok(self.store.snapshot()?.get(&TRANSACTIONS, &key).await?.map(|row| row.answer))
    }

    /// Remembers an answer durably.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn remember(
        &self,
        asker: &Asker,
        (id, answer): (&str, &str),
    ) -> Result<(), CommitError> {
        let (key, row) = self.row(asker, (id, answer));
        self.write(&[(key, row)]).await
    }

    /// Remembers an answer, durably some time soon: of a transaction that changes nothing when it is taken again. Whoever sent it
    /// does not wait for the disk twice, once for its events and once for this.
    ///
    /// # Errors
    /// Those of the store, when so many wait to be written that this one does.
    pub(super) async fn note(&self, asker: &Asker, (id, answer): (&str, &str)) -> Result<(), CommitError> {
        let (key, row) = self.row(asker, (id, answer));
        match self.put(&key, &row) {
            Put::Written => Ok(()),
            Put::First => {
                let this = self.clone();
                tokio::spawn(async move { this.write_noted().await });
                Ok(())
            }
            Put::TooMany => self.write(&[(key, row)]).await,
        }
    }

    fn put(&self, key: &TransactionKey, row: &TransactionRow) -> Put {
        let mut noted = locked(&self.noted);
        if noted.rows.len() >= TRANSACTIONS_NOTED_MAX {
            return Put::TooMany;
        }
        noted.rows.insert(key.clone(), row.clone());
        if std::mem::replace(&mut noted.is_writing, true) { Put::Written } else { Put::First }
    }

    fn row(&self, asker: &Asker, (id, answer): (&str, &str)) -> (TransactionKey, TransactionRow) {
        let key = (asker.tenant.number(), asker.origin.clone(), id.to_owned());
        (key, TransactionRow { ts: self.clock.now_ts(), answer: answer.to_owned() })
    }

    /// Writes what is noted, until there is nothing more.
    async fn write_noted(&self) {
        loop {
            tokio::time::sleep(COLLECTED_FOR).await;
            let rows: Vec<(TransactionKey, TransactionRow)> = {
                let mut noted = locked(&self.noted);
                if noted.rows.is_empty() {
                    noted.is_writing = false;
                    return;
                }
                noted.rows.iter().map(|(key, row)| (key.clone(), row.clone())).collect()
            };
            if let Err(error) = self.write(&rows).await {
                tracing::warn!(%error, "answers to transactions cannot be written");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let mut noted = locked(&self.noted);
            // None is noted twice: a transaction that has an answer is not taken again.
            rows.iter().for_each(|(key, _)| drop(noted.rows.remove(key)));
        }
    }

    /// Writes answers, and forgets the oldest ones of their servers.
    async fn write(&self, rows: &[(TransactionKey, TransactionRow)]) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        let mut servers: BTreeMap<(TenantNumber, OwnedServerName), usize> = BTreeMap::new();
        for (key, row) in rows {
            *servers.entry((key.0, key.1.clone())).or_default() += 1;
            batch.put(&TRANSACTIONS, key, row);
            batch.put(&TRANSACTION_AGES, &(key.0, key.1.clone(), row.ts, key.2.clone()), &());
        }
        for (server, new) in servers {
            for age in self.old(&server, new).await.unwrap_or_default() {
                batch.delete(&TRANSACTIONS, &(age.0, age.1.clone(), age.3.clone()));
                batch.delete(&TRANSACTION_AGES, &age);
            }
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

    /// The oldest transactions of a server, as far as they are more than are remembered with so many new ones. What cannot be
    /// read is left for the next time.
    async fn old(
        &self,
        server: &(TenantNumber, OwnedServerName),
        new: usize,
    ) -> Result<Vec<(TenantNumber, OwnedServerName, i64, String)>, ReadError> {
        let snapshot = self.store.snapshot()?;
        let kept = TRANSACTIONS_REMEMBERED.saturating_mul(2);
        let ages = snapshot.scan_prefix(&TRANSACTION_AGES, server, Order::Ascending, kept).await?;
        let spare = ages.len().saturating_add(new).saturating_sub(TRANSACTIONS_REMEMBERED);
        Ok(ages.into_iter().take(spare).map(|(age, ())| age).collect())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
