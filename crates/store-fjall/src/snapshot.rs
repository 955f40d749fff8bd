//! Reading what was durable at one position.

use std::future::ready;
use std::ops::Bound;
use std::sync::Arc;

use freehold_store::{BoxFuture, Bytes, EngineError, EngineSnapshot, Order, Position, ScanRange, TableId};
use lsm_tree::{AbstractTree, Guard};

use crate::tree::{Shown, engine_error, stored};

/// A snapshot that somebody holds. Reads are answered at once: from memory, or from a file.
pub(crate) struct FjallSnapshot(pub(crate) Arc<Shown>);

impl EngineSnapshot for FjallSnapshot {
    fn position(&self) -> Position {
        self.0.position
    }

    fn get_many<'a>(
        &'a self,
        table: TableId,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, EngineError>> {
        Box::pin(ready(keys.iter().map(|key| self.0.get(table, key)).collect()))
    }

    fn scan<'a>(
        &'a self,
        table: TableId,
        range: ScanRange,
        order: Order,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Bytes, Bytes)>, EngineError>> {
        Box::pin(ready(self.0.scan(table, range, order, limit)))
    }
}

impl Shown {
    fn scan(
        &self,
        table: TableId,
        range: ScanRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
        if range.end.as_ref().is_some_and(|end| *end <= range.start) {
            return Ok(Vec::new());
        }
        let start = Bound::Included(stored(table, &range.start));
        let rows = self.tree.range((start, end(table, range.end)), self.instant, None);
        match order {
            Order::Ascending => rows.take(limit).map(row).collect(),
            Order::Descending => rows.rev().take(limit).map(row).collect(),
        }
    }
}

fn end(table: TableId, end: Option<Bytes>) -> Bound<Bytes> {
    match (end, table.0.checked_add(1)) {
        (Some(end), _) => Bound::Excluded(stored(table, &end)),
        (None, Some(next)) => Bound::Excluded(vec![next]),
        (None, None) => Bound::Unbounded,
    }
}

fn row(guard: impl Guard) -> Result<(Bytes, Bytes), EngineError> {
    let (key, row) = guard.into_inner().map_err(engine_error)?;
    Ok((key.iter().skip(1).copied().collect(), row.to_vec()))
}
