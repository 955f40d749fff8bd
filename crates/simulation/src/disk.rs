//! A disk that takes its time, and loses with a crash what it had not flushed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_store::{
    Batch, BoxFuture, Bytes, CommitError, Engine, EngineError, EngineSnapshot, MemoryEngine, Order, Position,
    ScanRange, TableId,
};
use freehold_testkit::Rng;
use tokio::sync::oneshot;

/// The disk of one run of a process. What is durable lies in an engine in memory, which outlives it.
pub(crate) struct Disk {
    durable: Arc<MemoryEngine>,
    state: Arc<Mutex<State>>,
}

struct State {
    /// What was given and is not flushed yet, in order.
    waiting: VecDeque<(Batch, oneshot::Sender<Result<Position, CommitError>>)>,
    flushing: bool,
    is_dead: bool,
    rng: Rng,
    counted: Counted,
}

/// How much was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Batches.
    pub(crate) batches: u64,
    /// Bytes of keys and rows, those apart that are made of the position.
    pub(crate) bytes: u64,
    /// Rows that were read, and places where there was none.
    pub(crate) rows: u64,
}

/// The longest that a flush takes, in milliseconds.
const FLUSH_MS: usize = 8;

impl Disk {
    /// The disk of a process that starts with what is durable.
    pub(crate) fn over(durable: Arc<MemoryEngine>, rng: Rng) -> Self {
        let counted = Counted::default();
        let state = State { waiting: VecDeque::new(), flushing: false, is_dead: false, rng, counted };
        Disk { durable, state: Arc::new(Mutex::new(state)) }
    }

    /// The process dies. Of what was not flushed, some first batches may have become durable without anybody having
    /// been told; the rest is lost. Gives how many were, and how many were lost.
    pub(crate) async fn crash(&self, rng: &mut Rng) -> (usize, usize) {
        let mut waiting = {
            let mut state = self.lock();
            state.is_dead = true;
            std::mem::take(&mut state.waiting)
        };
        let kept = rng.below(waiting.len() + 1);
        for (batch, _) in waiting.drain(..kept) {
            // Whether its conditions held is for nobody any more.
            let _ = self.durable.commit(batch).await;
        }
        (kept, waiting.len())
    }

    /// How much was written since the process started.
    pub(crate) fn counted(&self) -> Counted {
        self.lock().counted
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine for Disk {
    fn snapshot(&self) -> Result<Box<dyn EngineSnapshot>, EngineError> {
        if self.lock().is_dead {
            return Err(EngineError("the process is dead".to_owned()));
        }
        let state = self.state.clone();
        Ok(Box::new(CountedSnapshot { durable: self.durable.snapshot()?, state }))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Position, CommitError>> {
        let (done, told) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.is_dead {
                return Box::pin(std::future::pending());
            }
            state.waiting.push_back((batch, done));
            if !state.flushing {
                state.flushing = true;
                tokio::spawn(flush(self.durable.clone(), self.state.clone()));
            }
        }
        Box::pin(async move {
            match told.await {
                Ok(outcome) => outcome,
                // Nobody is told anything by a dead process.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// What was durable at one moment; it is counted what is read of it.
struct CountedSnapshot {
    durable: Box<dyn EngineSnapshot>,
    state: Arc<Mutex<State>>,
}

impl CountedSnapshot {
    fn count(&self, rows: usize) {
        locked(&self.state).counted.rows += rows as u64;
    }
}

impl EngineSnapshot for CountedSnapshot {
    fn position(&self) -> Position {
        self.durable.position()
    }

    fn get_many<'a>(
        &'a self,
        table: TableId,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, EngineError>> {
        self.count(keys.len());
        self.durable.get_many(table, keys)
    }

    fn scan<'a>(
        &'a self,
        table: TableId,
        range: ScanRange,
        order: Order,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Bytes, Bytes)>, EngineError>> {
        Box::pin(async move {
            let rows = self.durable.scan(table, range, order, limit).await?;
            self.count(rows.len() + 1);
            Ok(rows)
        })
    }
}

/// Flushes what waits, a group at a time, until nothing does.
async fn flush(durable: Arc<MemoryEngine>, state: Arc<Mutex<State>>) {
    loop {
        let (time, count) = {
            let mut state = locked(&state);
            if state.is_dead || state.waiting.is_empty() {
                state.flushing = false;
                return;
            }
            (state.rng.below(FLUSH_MS), state.waiting.len())
        };
        tokio::time::sleep(Duration::from_millis(1 + time as u64)).await;
        let group: Vec<_> = {
            let mut state = locked(&state);
            if state.is_dead {
                return;
            }
            let group: Vec<_> = state.waiting.drain(..count).collect();
            state.counted.batches += count as u64;
            state.counted.bytes += group.iter().map(|(batch, _)| batch.bytes() as u64).sum::<u64>();
            group
        };
        for (batch, done) in group {
            let outcome = durable.commit(batch).await;
            // Who gave up waiting does not want to know.
            let _ = done.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use freehold_store::{Store, Table, TableId};

    use super::*;

    const NAMES: Table<u64, String> = Table::new(TableId::EXAMPLE, "names");

    fn named(number: u64) -> Batch {
        let mut batch = Batch::new();
        batch.put(&NAMES, &number, &format!("number {number}"));
        batch
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_acknowledged_survives_a_crash_and_what_was_not_may_be_lost() {
        let mut lost = 0;
        for seed in 0..20 {
            let durable = Arc::new(MemoryEngine::new());
            let disk = Arc::new(Disk::over(durable.clone(), Rng::new(seed)));
            let store = Store::open(disk.clone()).await.unwrap();
            store.commit(named(1)).await.unwrap();
            for number in 2..10 {
                let store = store.clone();
                tokio::spawn(async move { store.commit(named(number)).await });
            }
            tokio::task::yield_now().await;
            let (kept, dropped) = disk.crash(&mut Rng::new(seed)).await;
            assert_eq!(kept + dropped, 8);
            assert!(store.snapshot().is_err());
            lost += dropped;
            let again = Store::open(Arc::new(Disk::over(durable, Rng::new(seed)))).await.unwrap();
            let snapshot = again.snapshot().unwrap();
            for number in 1..10 {
                let row = snapshot.get(&NAMES, &number).await.unwrap();
                assert_eq!(row.is_some(), number <= 1 + kept as u64, "{number} of {kept}");
            }
        }
        assert!(lost > 0, "the crashes came too late to lose anything");
    }
}
