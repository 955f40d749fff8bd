//! Group commit: several batches become one write of the engine.

use std::collections::BTreeMap;

use crate::batch::Batch;
use crate::engine::{Bytes, CommitError, EngineError, Operation};
use crate::number::Position;
use crate::table::TableId;

/// What came of a group of batches.
#[derive(Debug, Default)]
pub struct Assembled {
    /// What the engine is to write, as one atomic write; later changes of a key win.
    pub operations: Vec<Operation>,
    /// For each batch the position it gets once that is durable, or why it had no effect.
    pub outcomes: Vec<Result<Position, CommitError>>,
    /// The position after the group.
    pub last: Position,
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
    let mut changed: BTreeMap<(TableId, Bytes), Option<Bytes>> = BTreeMap::new();
    let alone = batches.len() == 1;
    for batch in batches {
        if let Some(conflict) = conflict(&batch, &changed, &read)? {
            assembled.outcomes.push(Err(conflict));
            continue;
        }
        assembled.last = Position(assembled.last.0 + 1);
        let operations = batch.into_operations(assembled.last);
        if !alone {
            operations.iter().for_each(|operation| remember(&mut changed, operation));
        }
        assembled.operations.extend(operations);
        assembled.outcomes.push(Ok(assembled.last));
    }
    Ok(assembled)
}

fn conflict(
    batch: &Batch,
    changed: &BTreeMap<(TableId, Bytes), Option<Bytes>>,
    read: &impl Fn(TableId, &[u8]) -> Result<Option<Bytes>, EngineError>,
) -> Result<Option<CommitError>, EngineError> {
    for check in batch.checks() {
        let held = match changed.get(&(check.table, check.key.clone())) {
            Some(changed) => changed.clone(),
            None => read(check.table, &check.key)?,
        };
        if !check.expected.holds(held.as_deref()) {
            return Ok(Some(CommitError::Conflict { table: check.table, key: check.key.clone() }));
        }
    }
    Ok(None)
}

fn remember(changed: &mut BTreeMap<(TableId, Bytes), Option<Bytes>>, operation: &Operation) {
    match operation {
        Operation::Put { table, key, value } => changed.insert((*table, key.clone()), Some(value.clone())),
        Operation::Delete { table, key } => changed.insert((*table, key.clone()), None),
    };
}
