//! The store: an engine, read and written by tables.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::batch::Batch;
use crate::engine::{Bytes, CommitError, Engine, EngineError, EngineSnapshot, Order, ScanRange};
use crate::key::{Key, KeyError, decoded, encoded};
use crate::number::{Position, RoomNumber};
use crate::outgoing::Outgoing;
use crate::recent::RecentRooms;
use crate::table::{Table, TableId};
use crate::tables::{SCHEMA, SCHEMA_VERSION};
use crate::value::{self, Value, ValueError};
use crate::wakes::Wakes;

/// Everything the server keeps. A clone is another handle on the same store.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    wakes: Wakes,
    recent: RecentRooms,
    outgoing: Outgoing,
}

impl Store {
    /// Opens the store that an engine holds, and writes its schema version if it is new.
    ///
    /// # Errors
    /// [`OpenError::Schema`] when another version of the software wrote it.
    pub async fn open(engine: Arc<dyn Engine>) -> Result<Self, OpenError> {
        let recent = RecentRooms::after(engine.snapshot().map_err(ReadError::from)?.position());
        let store = Store { engine, wakes: Wakes::default(), recent, outgoing: Outgoing::default() };
        match store.snapshot()?.get(&SCHEMA, &()).await? {
            Some(found) if found == SCHEMA_VERSION => Ok(store),
            Some(found) => Err(OpenError::Schema { found, expected: SCHEMA_VERSION }),
            None if store.snapshot()?.position() > Position(0) => Err(OpenError::Unfinished),
            None => {
                let mut batch = Batch::new();
                batch.expect_absent(&SCHEMA, &());
                batch.put(&SCHEMA, &(), &SCHEMA_VERSION);
                store.commit(batch).await?;
                Ok(store)
            }
        }
    }

    /// What is durable now.
    ///
    /// # Errors
    /// [`ReadError::Engine`].
    pub fn snapshot(&self) -> Result<Snapshot, ReadError> {
        let snapshot = self.engine.snapshot()?;
        Ok(Snapshot::of(snapshot))
    }

    /// Commits a batch; ready when it is durable. Then those whom it concerns wake.
    ///
    /// Whoever drops the future before it is ready does not learn whether the batch took effect; those whom it concerns
    /// wake if it did.
    ///
    /// # Errors
    /// [`CommitError`]; the batch had no effect.
    pub async fn commit(&self, mut batch: Batch) -> Result<Position, CommitError> {
        let touched = batch.touched().to_vec();
        if !touched.is_empty() {
            let recent = self.recent.clone();
            batch.at_position(move |position, _| recent.note(position, &touched));
        }
        let (concerned, wakes) = (batch.concerns().to_vec(), self.wakes.clone());
        let (outgoing, (events, messages)) = (self.outgoing.clone(), batch.take_outgoing());
        batch.once_durable(move |_| {
            concerned.into_iter().for_each(|user| wakes.wake(user));
            outgoing.put(events, messages);
        });
        self.engine.commit(batch).await
    }

    /// The rooms that batches touched after `since` and up to `to`, or `None` if that is too long ago to say.
    pub fn rooms_touched(&self, since: Position, to: Position) -> Option<BTreeSet<RoomNumber>> {
        self.recent.between(since, to)
    }

    /// Takes from the engine's files what was overwritten or deleted before; `false` when some of it may still be there
    /// ([`Engine::erase_overwritten`]). Whoever asks holds no snapshot.
    ///
    /// # Errors
    /// [`EngineError`]; nothing that is shown was lost.
    pub async fn erase_overwritten(&self) -> Result<bool, EngineError> {
        self.engine.erase_overwritten().await
    }

    /// What waits to be sent to other servers.
    pub fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// Who waits for what.
    pub fn wakes(&self) -> &Wakes {
        &self.wakes
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// What was durable at one position. A clone shows the same.
#[derive(Clone)]
pub struct Snapshot {
    engine: Arc<dyn EngineSnapshot>,
}

impl Snapshot {
    /// What an engine shows.
    pub(crate) fn of(engine: Box<dyn EngineSnapshot>) -> Self {
        Snapshot { engine: Arc::from(engine) }
    }

    /// The position of the last change that it shows.
    pub fn position(&self) -> Position {
        self.engine.position()
    }

    /// The row of a key.
    ///
    /// # Errors
    /// [`ReadError`], also when the row is damaged.
    pub async fn get<K: Key, V: Value>(&self, table: &Table<K, V>, key: &K) -> Result<Option<V>, ReadError> {
        Ok(self.get_many(table, std::slice::from_ref(key)).await?.pop().flatten())
    }

    /// The rows of several keys, in the order of `keys`.
    ///
    /// # Errors
    /// [`ReadError`], also when a row is damaged.
    pub async fn get_many<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        keys: &[K],
    ) -> Result<Vec<Option<V>>, ReadError> {
        let keys: Vec<Vec<u8>> = keys.iter().map(encoded).collect();
        let rows = self.engine.get_many(table.id, &keys).await?;
        rows.into_iter().map(|row| row.map(|row| read_row(table, &row)).transpose()).collect()
    }

    /// Up to `limit` rows whose keys begin with `prefix`: a leading part of the table's key, or `()` for all.
    ///
    /// # Errors
    /// [`ReadError`], also when a row is damaged.
    pub async fn scan_prefix<P: Key, K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        prefix: &P,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(K, V)>, ReadError> {
        let start = encoded(prefix);
        let end = successor(&start);
        self.scan(table, ScanRange { start, end }, order, limit).await
    }

    /// Up to `limit` rows with keys from `from`, which is included, to `to`, which is not. Both may be leading parts of keys.
    ///
    /// # Errors
    /// [`ReadError`], also when a row is damaged.
    pub async fn scan_range<P: Key, Q: Key, K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        (from, to): (&P, &Q),
        order: Order,
        limit: usize,
    ) -> Result<Vec<(K, V)>, ReadError> {
        let range = ScanRange { start: encoded(from), end: Some(encoded(to)) };
        self.scan(table, range, order, limit).await
    }

    /// Up to `limit` rows of a table, after the row of a key; from the first row on without one.
    ///
    /// # Errors
    /// [`ReadError`], also when a row is damaged.
    pub async fn scan_after<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        after: Option<&K>,
        limit: usize,
    ) -> Result<Vec<(K, V)>, ReadError> {
        let mut start = after.map(encoded).unwrap_or_default();
        if after.is_some() {
            start.push(0);
        }
        self.scan(table, ScanRange { start, end: None }, Order::Ascending, limit).await
    }

    /// What the engine shows.
    pub(crate) fn engine(&self) -> &dyn EngineSnapshot {
        &*self.engine
    }

    /// The row of a key of any table, as bytes.
    pub(crate) async fn bytes_of(&self, table: TableId, key: &Bytes) -> Result<Option<Bytes>, ReadError> {
        Ok(self.engine.get_many(table, std::slice::from_ref(key)).await?.pop().flatten())
    }

    /// Which keys of any table have rows, in the order of `keys`.
    pub(crate) async fn are_present(&self, table: TableId, keys: &[Bytes]) -> Result<Vec<bool>, ReadError> {
        Ok(self.engine.get_many(table, keys).await?.iter().map(Option::is_some).collect())
    }

    /// Up to `limit` rows of any table, as bytes, from `start` on.
    pub(crate) async fn scan_bytes(
        &self,
        table: TableId,
        start: Bytes,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, ReadError> {
        let range = ScanRange { start, end: None };
        Ok(self.engine.scan(table, range, Order::Ascending, limit).await?)
    }

    async fn scan<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        range: ScanRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(K, V)>, ReadError> {
        let rows = self.engine.scan(table.id, range, order, limit).await?;
        rows.into_iter().map(|(key, row)| Ok((read_key(table, &key)?, read_row(table, &row)?))).collect()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({})", self.position())
    }
}

fn read_key<K: Key, V>(table: &Table<K, V>, key: &[u8]) -> Result<K, ReadError> {
    decoded(key).map_err(|source| ReadError::Key { table: table.name, source })
}

fn read_row<K, V: Value>(table: &Table<K, V>, row: &[u8]) -> Result<V, ReadError> {
    value::decoded(row).map_err(|source| ReadError::Row { table: table.name, source })
}

/// The least bytes that are greater than everything that begins with `prefix`; `None` if nothing is.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end: Vec<u8> = prefix.iter().take(kept + 1).copied().collect();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    Some(end)
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store has the shape of another version of the software.
    #[error("store has schema version {found}, this software has {expected}")]
    Schema {
        /// The version of the store.
        found: u32,
        /// The version of the software.
        expected: u32,
    },
    /// A backup was being restored into it and was not restored to its end.
    #[error("store holds the beginning of a backup only")]
    Unfinished,
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The schema version could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why a row cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A key is damaged.
    #[error("damaged key in table `{table}`")]
    Key {
        /// The name of the table.
        table: &'static str,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A row is damaged.
    #[error("damaged row in table `{table}`")]
    Row {
        /// The name of the table.
        table: &'static str,
        /// What is wrong with it.
        source: ValueError,
    },
    /// A row refers to something that the store does not have.
    #[error("table `{table}` lacks a row that another refers to")]
    Dangling {
        /// The name of the table.
        table: &'static str,
    },
}
