//! An engine in memory: for tests, and the plain model to which other engines are compared.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::Batch;
use crate::engine::{
    BoxFuture, Bytes, CommitError, Engine, EngineError, EngineSnapshot, Operation, Order, ScanRange,
};
use crate::group::assemble;
use crate::number::Position;
use crate::table::TableId;

/// An engine that holds everything in memory and loses it when dropped.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    state: Mutex<Arc<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    rows: BTreeMap<(TableId, Bytes), Bytes>,
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
        let mut state = self.lock();
        let assembled =
            assemble(vec![batch], state.position, |table, key| Ok(state.get(table, key).cloned()))
                .map_err(CommitError::Engine)?;
        let state = Arc::make_mut(&mut state);
        assembled.operations.into_iter().for_each(|operation| state.apply(operation));
        state.position = assembled.last;
        assembled.outcomes.into_iter().next().unwrap_or(Ok(assembled.last))
    }
}

impl State {
    fn get(&self, table: TableId, key: &[u8]) -> Option<&Bytes> {
        self.rows.get(&(table, key.to_vec()))
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Put { table, key, value } => self.rows.insert((table, key), value),
            Operation::Delete { table, key } => self.rows.remove(&(table, key)),
        };
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
        if range.end.as_ref().is_some_and(|end| *end <= range.start) {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        let end = range.end.map_or_else(
            || Bound::Excluded((TableId(table.0.saturating_add(1)), Vec::new())),
            |end| Bound::Excluded((table, end)),
        );
        let rows = self.0.rows.range((Bound::Included((table, range.start)), end));
        let owned = |((row_table, key), value): (&(TableId, Bytes), &Bytes)| {
            (*row_table == table).then(|| (key.clone(), value.clone()))
        };
        let found = match order {
            Order::Ascending => rows.filter_map(owned).take(limit).collect(),
            Order::Descending => rows.rev().filter_map(owned).take(limit).collect(),
        };
        Box::pin(std::future::ready(Ok(found)))
    }
}
