//! From one schema version to the next, in steps that a restart does not undo.

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::engine::{BoxFuture, Bytes, CommitError, Engine};
use crate::store::{ReadError, Snapshot};
use crate::tables::{MIGRATING, SCHEMA};

/// What leads to a schema version from the one before it.
pub struct Migration {
    /// The version to which it leads.
    pub to: u32,
    /// Adds the changes of one step to a batch, from where the last one stopped (nothing at first). The step looks at a
    /// bounded number of rows, and leaves rows alone that it has changed before.
    pub step: Step,
}

/// One step of a migration: reads a snapshot, from a place on, and adds changes to a batch.
pub type Step =
    for<'a> fn(&'a Snapshot, &'a [u8], &'a mut Batch) -> BoxFuture<'a, Result<Progress, ReadError>>;

/// How far a step came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The next step goes on from here; what that means is the migration's.
    Until(Bytes),
    /// Everything is done.
    Done,
}

/// The row of the migration that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigratingRow {
    /// The version to which it leads.
    pub to: u32,
    /// From where its next step goes on.
    pub from: Bytes,
}

/// Brings an engine to the last version of `migrations`, which are in order and without gaps. Each step is a batch
/// of its own, so a restart goes on where the last one stopped. A store without a schema version is left alone.
///
/// # Errors
/// [`MigrationError`]; what was done until then stays.
pub async fn migrate(engine: &dyn Engine, migrations: &[Migration]) -> Result<(), MigrationError> {
    for migration in migrations {
        while let Some(version) = version(engine).await? {
            if version >= migration.to {
                break;
            }
            if version + 1 != migration.to {
                return Err(MigrationError::Gap { found: version, next: migration.to });
            }
            step(engine, migration).await?;
        }
    }
    Ok(())
}

async fn version(engine: &dyn Engine) -> Result<Option<u32>, MigrationError> {
    let snapshot = Snapshot::of(engine.snapshot().map_err(ReadError::from)?);
    Ok(snapshot.get(&SCHEMA, &()).await?)
}

async fn step(engine: &dyn Engine, migration: &Migration) -> Result<(), MigrationError> {
    let snapshot = Snapshot::of(engine.snapshot().map_err(ReadError::from)?);
    let row = snapshot.get(&MIGRATING, &()).await?;
    let mut batch = Batch::new();
    batch.expect_unchanged(&MIGRATING, &(), row.as_ref());
    let from = row.map(|row| row.from).unwrap_or_default();
    match (migration.step)(&snapshot, &from, &mut batch).await? {
        Progress::Until(from) => batch.put(&MIGRATING, &(), &MigratingRow { to: migration.to, from }),
        Progress::Done => {
            batch.delete(&MIGRATING, &());
            batch.put(&SCHEMA, &(), &migration.to);
        }
    }
    engine.commit(batch).await?;
    Ok(())
}

/// Why a migration stopped.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// No migration leads on from the version of the store.
    #[error("store has schema version {found}, and the oldest that can be brought on is {}", next.saturating_sub(1))]
    Gap {
        /// The version of the store.
        found: u32,
        /// The first version to which a migration leads.
        next: u32,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A step was not written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}
