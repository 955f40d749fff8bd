//! fjall, opened: one keyspace that holds all tables.

use std::path::Path;

use fjall::config::{BlockSizePolicy, CompressionPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use freehold_store::{Bytes, EngineError, Operation, Position, TableId};

use crate::settings::Settings;

/// The only keyspace. Tables are told apart by the first byte of their keys: with one keyspace there is one
/// journal position, one flush and one snapshot for everything, and none that lies idle and keeps the journal growing.
const KEYSPACE: &str = "tables";

/// Where the position of the last batch is kept, in [`TableId::ENGINE`].
const POSITION: &[u8] = b"position";

/// An open database.
pub(crate) struct Opened {
    database: Database,
    keyspace: Keyspace,
}

impl Opened {
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<Self, fjall::Error> {
        let database = Database::builder(path)
            .cache_size(settings.cache_bytes)
            .journal_compression(CompressionType::None)
            .manual_journal_persist(true)
            .max_cached_files(Some(128))
            .max_journaling_size(64 << 20)
            .worker_threads(2)
            .open()?;
        let keyspace = database.keyspace(KEYSPACE, || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(settings.write_buffer_bytes)
                .data_block_size_policy(BlockSizePolicy::all(4 << 10))
                .data_block_compression_policy(CompressionPolicy::new([
                    CompressionType::None,
                    CompressionType::Lz4,
                ]))
                .manual_journal_persist(true)
        })?;
        Ok(Opened { database, keyspace })
    }

    /// Writes changes and the position after them, atomically and durably.
    pub(crate) fn write(&self, operations: Vec<Operation>, last: Position) -> Result<(), fjall::Error> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for operation in operations {
            match operation {
                Operation::Put { table, key, value } => {
                    batch.insert(&self.keyspace, stored(table, &key), value)
                }
                Operation::Delete { table, key } => batch.remove(&self.keyspace, stored(table, &key)),
            }
        }
        batch.insert(&self.keyspace, stored(TableId::ENGINE, POSITION), last.0.to_be_bytes());
        batch.commit()
    }

    /// What is durable now, at the position that [`Opened::write`] was given last.
    /// fjall makes a batch visible after its journal is synced.
    pub(crate) fn show(&self, position: Position) -> Shown {
        Shown { snapshot: self.database.snapshot(), keyspace: self.keyspace.clone(), position }
    }

    /// What is durable, and its position, as they were found.
    pub(crate) fn recovered(&self) -> Result<Shown, EngineError> {
        let mut shown = self.show(Position(0));
        if let Some(row) = shown.get(TableId::ENGINE, POSITION)? {
            let bytes = row.try_into().map_err(|_| EngineError("damaged position".to_owned()))?;
            shown.position = Position(u64::from_be_bytes(bytes));
        }
        Ok(shown)
    }
}

/// What was durable at one position.
pub(crate) struct Shown {
    pub(crate) snapshot: fjall::Snapshot,
    pub(crate) keyspace: Keyspace,
    pub(crate) position: Position,
}

impl Shown {
    pub(crate) fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let row = self.snapshot.get(&self.keyspace, stored(table, key)).map_err(engine_error)?;
        Ok(row.map(|row| row.to_vec()))
    }
}

/// A key as it lies in the keyspace.
pub(crate) fn stored(table: TableId, key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(1 + key.len());
    stored.push(table.0);
    stored.extend_from_slice(key);
    stored
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn engine_error(error: fjall::Error) -> EngineError {
    EngineError(error.to_string())
}
