//! What an engine does: hold bytes in order, commit batches, show snapshots.

use std::pin::Pin;

use crate::batch::Batch;
use crate::number::Position;
use crate::table::TableId;

/// A future that an engine returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Bytes of a key or a row.
pub type Bytes = Vec<u8>;

/// An ordered key-value store that loses nothing it has acknowledged.
///
/// # Laws (the conformance suite proves them for each engine)
/// - A batch takes effect as a whole or not at all, also over a crash.
/// - `commit` is ready when the batch is durable; batches that wait together share one flush.
/// - Positions rise by one with each committed batch, in the order in which batches take effect, also over a restart.
/// - A snapshot shows exactly the batches up to its position, all of them durable.
/// - When a batch is durable and snapshots show it, its announcements are made ([`crate::Assembled::announce`]), also
///   if the future of the commit was dropped; then that future is ready.
pub trait Engine: Send + Sync + 'static {
    /// What is durable now.
    ///
    /// # Errors
    /// The engine's own failure.
    fn snapshot(&self) -> Result<Box<dyn EngineSnapshot>, EngineError>;

    /// Commits one batch: checks its conditions, gives it a position, makes it durable.
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Position, CommitError>>;

    /// Takes from the engine's files what was overwritten or deleted before. `false` when some of it may still be there: because
    /// somebody holds a snapshot that shows it, or because there is too much to rewrite at once.
    ///
    /// An engine that keeps nothing of what was overwritten has nothing to do.
    ///
    /// # Errors
    /// The engine's own failure; nothing that is shown was lost.
    fn erase_overwritten(&self) -> BoxFuture<'_, Result<bool, EngineError>> {
        Box::pin(std::future::ready(Ok(true)))
    }
}

/// What was durable at one moment.
pub trait EngineSnapshot: Send + Sync {
    /// The position of the last batch that it shows; 0 when there was none.
    fn position(&self) -> Position;

    /// The rows of several keys, in the order of `keys`.
    fn get_many<'a>(
        &'a self,
        table: TableId,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, EngineError>>;

    /// Up to `limit` rows of a range of keys, in `order`.
    fn scan<'a>(
        &'a self,
        table: TableId,
        range: ScanRange,
        order: Order,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Bytes, Bytes)>, EngineError>>;
}

/// A range of keys: from `start`, which is in it, to `end`, which is not; without `end`, to the last key of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRange {
    /// The least key of the range.
    pub start: Bytes,
    /// The least key after the range.
    pub end: Option<Bytes>,
}

/// In which order a range is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Least key first.
    Ascending,
    /// Greatest key first.
    Descending,
}

/// One change of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets the row of a key.
    Put {
        /// The table.
        table: TableId,
        /// The key.
        key: Bytes,
        /// The row.
        value: Bytes,
    },
    /// Removes the row of a key, if there is one.
    Delete {
        /// The table.
        table: TableId,
        /// The key.
        key: Bytes,
    },
}

impl Operation {
    /// How many bytes its key and its row have.
    pub fn bytes(&self) -> usize {
        match self {
            Operation::Put { key, value, .. } => key.len() + value.len(),
            Operation::Delete { key, .. } => key.len(),
        }
    }
}

/// A condition of a batch: what a key must hold when the batch takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The table.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
    /// What it must hold.
    pub expected: Expected,
}

/// What a key must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No row.
    Absent,
    /// Some row.
    Present,
    /// This row.
    Equal(Bytes),
    /// No row, or this one.
    AbsentOrEqual(Bytes),
}

impl Expected {
    /// Whether a key that holds `found` meets the condition.
    pub fn holds(&self, found: Option<&[u8]>) -> bool {
        match self {
            Expected::Absent => found.is_none(),
            Expected::Present => found.is_some(),
            Expected::Equal(value) => found == Some(value),
            Expected::AbsentOrEqual(value) => found.is_none_or(|found| found == value),
        }
    }
}

/// Why a batch had no effect.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// A condition did not hold: somebody else was first. The caller reads again and decides anew.
    #[error("condition on table {} no longer holds", table.0)]
    Conflict {
        /// The table of the condition.
        table: TableId,
        /// Its key.
        key: Bytes,
    },
    /// A key or a row is larger than [`crate::MAX_KEY_BYTES`] or [`crate::MAX_ROW_BYTES`].
    #[error("{bytes} bytes are too many for a key or row of table {}", table.0)]
    TooLarge {
        /// The table.
        table: TableId,
        /// How large the key or row is, in bytes.
        bytes: usize,
    },
    /// The disk is full. Reads go on; writes are taken again when there is room.
    #[error("no space left for writes")]
    Full,
    /// The engine failed or was closed; the batch may be found durable after a restart, or not.
    #[error("store cannot write")]
    Engine(#[source] EngineError),
}

/// A failure of an engine: its own words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("storage engine: {0}")]
pub struct EngineError(pub String);
