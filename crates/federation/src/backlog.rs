//! Rows by server that are written in the background, many at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_store::{Batch, ReadError, Store, Table, Value};
use ruma_common::OwnedServerName;

/// What waits to be written, and the one task that writes it. What waits can be read, so that nobody reads an older row
/// than was written.
pub(crate) struct Backlog<V: 'static> {
    store: Store,
    table: &'static Table<OwnedServerName, V>,
    state: Arc<Mutex<State<V>>>,
}

struct State<V> {
    /// The rows to write, each with its number; `None` removes one.
    waiting: BTreeMap<OwnedServerName, (u64, Option<V>)>,
    count: u64,
    writing: bool,
}

/// How many rows are written in one batch.
const BATCH: usize = 500;
/// How long a failed write waits before it is tried again.
const PAUSE: Duration = Duration::from_secs(5);

impl<V> Clone for Backlog<V> {
    fn clone(&self) -> Self {
        Backlog { store: self.store.clone(), table: self.table, state: self.state.clone() }
    }
}

impl<V: Value + Clone + Send + Sync + 'static> Backlog<V> {
    pub(crate) fn new(store: Store, table: &'static Table<OwnedServerName, V>) -> Self {
        let state = State { waiting: BTreeMap::new(), count: 0, writing: false };
        Backlog { store, table, state: Arc::new(Mutex::new(state)) }
    }

    /// Writes a row, or removes it, some time soon.
    pub(crate) fn put(&self, server: OwnedServerName, row: Option<V>) {
        let mut state = self.lock();
        state.count += 1;
        let count = state.count;
        state.waiting.insert(server, (count, row));
        if !state.writing {
            state.writing = true;
            let this = self.clone();
            tokio::spawn(async move { this.write().await });
        }
    }

    /// The row of a server, as it was last put.
    pub(crate) async fn get(&self, server: &OwnedServerName) -> Result<Option<V>, ReadError> {
        if let Some((_, row)) = self.lock().waiting.get(server) {
            return Ok(row.clone());
        }
        self.store.snapshot()?.get(self.table, server).await
    }

    async fn write(&self) {
        loop {
            let (batch, written) = {
                let mut state = self.lock();
                if state.waiting.is_empty() {
                    state.writing = false;
                    return;
                }
                self.batch(&state)
            };
            if let Err(error) = self.store.commit(batch).await {
                tracing::warn!(table = self.table.name, %error, "what is known of servers cannot be written");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let mut state = self.lock();
            for (server, number) in written {
                // What was put meanwhile still waits.
                if state.waiting.get(&server).is_some_and(|(current, _)| *current == number) {
                    state.waiting.remove(&server);
                }
            }
        }
    }

    fn batch(&self, state: &State<V>) -> (Batch, Vec<(OwnedServerName, u64)>) {
        let mut batch = Batch::new();
        let mut written = Vec::new();
        for (server, (number, row)) in state.waiting.iter().take(BATCH) {
            match row {
                Some(row) => batch.put(self.table, server, row),
                None => batch.delete(self.table, server),
            }
            written.push((server.clone(), *number));
        }
        (batch, written)
    }

    fn lock(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
