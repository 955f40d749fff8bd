//! An engine in memory: for tests, and the plain model to which other engines are compared.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::Batch;
use crate::engine::{
    BoxFuture, Bytes, CommitError, Engine, EngineError, EngineSnapshot, Operation, Order, ScanRange,
};
use crate::group::{Assembled, assemble};
use crate::number::Position;
use crate::table::TableId;

/// An engine that holds everything in memory and loses it when dropped.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    state: Mutex<Arc<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// Each table apart, so that a write copies no more than its own while somebody holds a snapshot.
    tables: BTreeMap<TableId, Arc<BTreeMap<Bytes, Bytes>>>,
    position: Position,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        MemoryEngine::default()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit_now(&self, batch: Batch) -> Result<Position, CommitError> {
        let mut assembled = self.apply(batch).map_err(CommitError::Engine)?;
        // Outside the lock: who is called may look at the store.
        assembled.announce();
        assembled.outcomes.pop().unwrap_or(Ok(assembled.last))
    }

    fn apply(&self, batch: Batch) -> Result<Assembled, EngineError> {
        let mut state = self.lock();
        let mut assembled =
            assemble(vec![batch], state.position, |table, key| Ok(state.get(table, key).cloned()))?;
        let state = Arc::make_mut(&mut state);
        mem::take(&mut assembled.operations).into_iter().for_each(|operation| state.apply(operation));
        state.position = assembled.last;
        Ok(assembled)
    }
}

impl State {
    fn get(&self, table: TableId, key: &[u8]) -> Option<&Bytes> {
        self.tables.get(&table)?.get(key)
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Put { table, key, value } => self.table(table).insert(key, value),
            Operation::Delete { table, key } => self.table(table).remove(&key),
        };
    }

    fn table(&mut self, table: TableId) -> &mut BTreeMap<Bytes, Bytes> {
        Arc::make_mut(self.tables.entry(table).or_default())
    }

    fn scan(&self, table: TableId, range: ScanRange, order: Order, limit: usize) -> Vec<(Bytes, Bytes)> {
        let Some(rows) = self.tables.get(&table) else { return Vec::new() };
        if range.end.as_ref().is_some_and(|end| *end <= range.start) {
            return Vec::new();
        }
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = rows.range((Bound::Included(range.start), end));
        let owned = |(key, row): (&Bytes, &Bytes)| (key.clone(), row.clone());
        match order {
            Order::Ascending => rows.map(owned).take(limit).collect(),
            Order::Descending => rows.rev().map(owned).take(limit).collect(),
        }
    }
}

impl Engine for MemoryEngine {
    fn snapshot(&self) -> Result<Box<dyn EngineSnapshot>, EngineError> {
        Ok(Box::new(MemorySnapshot(self.lock().clone())))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Position, CommitError>> {
        Box::pin(std::future::ready(self.commit_now(batch)))
    }
}

struct MemorySnapshot(Arc<State>);

impl EngineSnapshot for MemorySnapshot {
    fn position(&self) -> Position {
        self.0.position
    }

    fn get_many<'a>(
        &'a self,
        table: TableId,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, EngineError>> {
        let rows = keys.iter().map(|key| self.0.get(table, key).cloned()).collect();
        Box::pin(std::future::ready(Ok(rows)))
    }

    fn scan<'a>(
        &'a self,
        table: TableId,
        range: ScanRange,
        order: Order,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Bytes, Bytes)>, EngineError>> {
        Box::pin(std::future::ready(Ok(self.0.scan(table, range, order, limit))))
    }
}
