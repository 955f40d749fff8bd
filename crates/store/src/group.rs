//! Group commit: several batches become one write of the engine.

use std::collections::BTreeMap;
use std::fmt;

use crate::batch::{Announcement, Batch};
use crate::engine::{Bytes, CommitError, EngineError, Operation};
use crate::number::Position;
use crate::table::TableId;

/// The largest key, in bytes. Identifiers have 255 at most, and keys a few of them.
pub const MAX_KEY_BYTES: usize = 16 << 10;

/// The largest row, in bytes. An event has 65,535 at most; account data and key backups may have more.
pub const MAX_ROW_BYTES: usize = 16 << 20;

/// What came of a group of batches.
#[derive(Default)]
pub struct Assembled {
    /// What the engine is to write, as one atomic write: each key once, in the order of tables and keys.
    pub operations: Vec<Operation>,
    /// For each batch the position it gets once that is durable, or why it had no effect.
    pub outcomes: Vec<Result<Position, CommitError>>,
    /// The position after the group.
    pub last: Position,
    announcements: Vec<(Position, Announcement)>,
}

impl Assembled {
    /// Calls whoever is to know that the group is durable. The engine does so once snapshots show it and before
    /// commits are ready.
    pub fn announce(&mut self) {
        self.announcements.drain(..).for_each(|(position, announce)| announce(position));
    }

    /// The outcomes if the group could not be written: no batch has an effect.
    pub fn failed(self, error: &CommitError) -> Vec<Result<Position, CommitError>> {
        self.outcomes.into_iter().map(|outcome| outcome.and(Err(error.clone()))).collect()
    }
}

impl fmt::Debug for Assembled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembled")
            .field("operations", &self.operations)
            .field("outcomes", &self.outcomes)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// Turns a group of batches into one write.
///
/// Conditions are checked against what the engine holds (`read`) and against the batches before it in the
/// group, so the outcome is that of committing them one after the other.
///
/// # Errors
/// The failure of `read`; then nothing of the group has an effect.
pub fn assemble(
    batches: Vec<Batch>,
    last: Position,
    read: impl Fn(TableId, &[u8]) -> Result<Option<Bytes>, EngineError>,
) -> Result<Assembled, EngineError> {
    let mut assembled = Assembled { last, ..Assembled::default() };
    let mut changes = Changes::default();
    for batch in batches {
        if let Some(refusal) = changes.refusal(&batch, &read)? {
            assembled.outcomes.push(Err(refusal));
            continue;
        }
        assembled.take(batch, &mut changes);
    }
    assembled.operations = changes.into_operations();
    Ok(assembled)
}

impl Assembled {
    /// Gives a batch whose conditions hold the next position, unless it turns out to be too large.
    fn take(&mut self, mut batch: Batch, changes: &mut Changes) {
        let position = batch.position_after(self.last);
        let announcements = batch.take_announcements();
        let operations = batch.into_operations(position);
        if let Some(error) = operations.iter().find_map(too_large) {
            self.outcomes.push(Err(error));
            return;
        }
        self.last = position;
        self.announcements.extend(announcements.into_iter().map(|announce| (position, announce)));
        operations.into_iter().for_each(|operation| changes.add(operation));
        self.outcomes.push(Ok(position));
    }
}

/// What the batches so far changed: for each key the row it has after them.
#[derive(Default)]
struct Changes(BTreeMap<TableId, BTreeMap<Bytes, Option<Bytes>>>);

impl Changes {
    fn add(&mut self, operation: Operation) {
        let (table, key, row) = match operation {
            Operation::Put { table, key, value } => (table, key, Some(value)),
            Operation::Delete { table, key } => (table, key, None),
        };
        self.0.entry(table).or_default().insert(key, row);
    }

    fn refusal(
        &self,
        batch: &Batch,
        read: &impl Fn(TableId, &[u8]) -> Result<Option<Bytes>, EngineError>,
    ) -> Result<Option<CommitError>, EngineError> {
        for check in batch.checks() {
            let changed = self.0.get(&check.table).and_then(|table| table.get(&check.key));
            let holds = match changed {
                Some(changed) => check.expected.holds(changed.as_deref()),
                None => check.expected.holds(read(check.table, &check.key)?.as_deref()),
            };
            if !holds {
                return Ok(Some(CommitError::Conflict { table: check.table, key: check.key.clone() }));
            }
        }
        Ok(None)
    }

    fn into_operations(self) -> Vec<Operation> {
        let tables = self.0.into_iter();
        let rows = tables.flat_map(|(table, rows)| rows.into_iter().map(move |(key, row)| (table, key, row)));
        rows.map(|(table, key, row)| match row {
            Some(value) => Operation::Put { table, key, value },
            None => Operation::Delete { table, key },
        })
        .collect()
    }
}

fn too_large(operation: &Operation) -> Option<CommitError> {
    let (table, key, row) = match operation {
        Operation::Put { table, key, value } => (*table, key.len(), value.len()),
        Operation::Delete { table, key } => (*table, key.len(), 0),
    };
    let over = |bytes: usize, most: usize| (bytes > most).then_some(CommitError::TooLarge { table, bytes });
    over(key, MAX_KEY_BYTES).or_else(|| over(row, MAX_ROW_BYTES))
}
