//! Changes that nobody else sees: what would be if they were committed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::{Batch, Writes};
use crate::engine::{BoxFuture, Bytes, EngineError, EngineSnapshot, Expected, Operation, Order, ScanRange};
use crate::number::Position;
use crate::store::{ReadError, Snapshot};
use crate::table::TableId;

/// Changes over a snapshot. Its own snapshots show them as if they were committed, those that come later too; the store does
/// not. Whoever repairs something works on one, looks whether the result is in order, and only then commits it.
pub struct Overlay {
    base: Snapshot,
    shown: Arc<Mutex<Rows>>,
    /// The changes that wait for no position.
    fixed: BTreeMap<(TableId, Bytes), Option<Bytes>>,
    positioned: Vec<Positioned>,
}

/// Rows as they are after the changes; `None` for one that was removed.
type Rows = BTreeMap<TableId, BTreeMap<Bytes, Option<Bytes>>>;

type Positioned = Box<dyn Fn(Position, &mut Writes) + Send + Sync>;

impl Overlay {
    /// No changes over a snapshot.
    pub fn over(base: &Snapshot) -> Self {
        Overlay { base: base.clone(), shown: Arc::default(), fixed: BTreeMap::new(), positioned: Vec::new() }
    }

    /// What would be. It shows later changes, too.
    pub fn snapshot(&self) -> Snapshot {
        let base = self.base.clone();
        Snapshot::of(Box::new(Shown { base, shown: Arc::clone(&self.shown) }))
    }

    /// Makes changes.
    pub fn write(&mut self, write: impl FnOnce(&mut Writes)) {
        let mut writes = Writes::default();
        write(&mut writes);
        for operation in writes.into_operations() {
            let (table, key, row) = parts(operation);
            self.fixed.insert((table, key.clone()), row.clone());
            lock(&self.shown).entry(table).or_default().insert(key, row);
        }
    }

    /// Makes changes that need the position which they get when they are committed. Until then the next one stands for it. They
    /// are made after the others.
    pub fn at_position(&mut self, write: impl Fn(Position, &mut Writes) + Send + Sync + 'static) {
        let mut writes = Writes::default();
        write(Position(self.base.position().0.saturating_add(1)), &mut writes);
        for operation in writes.into_operations() {
            let (table, key, row) = parts(operation);
            lock(&self.shown).entry(table).or_default().insert(key, row);
        }
        self.positioned.push(Box::new(write));
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.positioned.is_empty()
    }

    /// The changes as a batch, which takes effect only if the rows that it changes, but for those that wait for the position,
    /// are as they were.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn into_batch(self) -> Result<Batch, ReadError> {
        let mut batch = Batch::new();
        for ((table, key), row) in self.fixed {
            let before = self.base.bytes_of(table, &key).await?;
            batch.expect(table, key.clone(), before.map_or(Expected::Absent, Expected::Equal));
            match row {
                Some(row) => batch.put_bytes(table, key, row),
                None => batch.delete_bytes(table, key),
            }
        }
        for write in self.positioned {
            batch.at_position(write);
        }
        Ok(batch)
    }
}

impl std::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay")
            .field("base", &self.base)
            .field("fixed", &self.fixed.len())
            .finish_non_exhaustive()
    }
}

fn parts(operation: Operation) -> (TableId, Bytes, Option<Bytes>) {
    match operation {
        Operation::Put { table, key, value } => (table, key, Some(value)),
        Operation::Delete { table, key } => (table, key, None),
    }
}

fn lock(rows: &Mutex<Rows>) -> MutexGuard<'_, Rows> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A snapshot with changes over it.
struct Shown {
    base: Snapshot,
    shown: Arc<Mutex<Rows>>,
}

impl Shown {
    /// The changed rows of a range.
    fn changed(&self, table: TableId, range: &ScanRange) -> Vec<(Bytes, Option<Bytes>)> {
        if range.end.as_ref().is_some_and(|end| *end <= range.start) {
            return Vec::new();
        }
        let rows = lock(&self.shown);
        let end = range.end.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = rows
            .get(&table)
            .into_iter()
            .flat_map(|rows| rows.range::<Bytes, _>((Bound::Included(&range.start), end)));
        rows.map(|(key, row)| (key.clone(), row.clone())).collect()
    }
}

impl EngineSnapshot for Shown {
    fn position(&self) -> Position {
        self.base.position()
    }

    fn get_many<'a>(
        &'a self,
        table: TableId,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, EngineError>> {
        Box::pin(async move {
            let mut rows = self.base.engine().get_many(table, keys).await?;
            let shown = lock(&self.shown);
            let Some(changed) = shown.get(&table) else { return Ok(rows) };
            for (key, row) in keys.iter().zip(&mut rows) {
                if let Some(changed) = changed.get(key) {
                    row.clone_from(changed);
                }
            }
            Ok(rows)
        })
    }

    fn scan<'a>(
        &'a self,
        table: TableId,
        range: ScanRange,
        order: Order,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Bytes, Bytes)>, EngineError>> {
        Box::pin(async move {
            let changed = self.changed(table, &range);
            // As many more as may be removed.
            let enough = limit.saturating_add(changed.len());
            let rows = self.base.engine().scan(table, range, order, enough).await?;
            let mut rows: BTreeMap<Bytes, Bytes> = rows.into_iter().collect();
            for (key, row) in changed {
                match row {
                    Some(row) => rows.insert(key, row),
                    None => rows.remove(&key),
                };
            }
            Ok(match order {
                Order::Ascending => rows.into_iter().take(limit).collect(),
                Order::Descending => rows.into_iter().rev().take(limit).collect(),
            })
        })
    }
}
