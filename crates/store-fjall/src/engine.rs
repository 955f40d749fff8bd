//! The engine: a committing thread, and what it has made durable for everybody to read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use freehold_store::{
    Assembled, Batch, BoxFuture, CommitError, Engine, EngineError, EngineSnapshot, Position, assemble,
};

use crate::committer::{Committer, Outcome};
use crate::journal::mend;
use crate::opened::{Opened, Shown, engine_error};
use crate::settings::Settings;
use crate::snapshot::FjallSnapshot;

/// How long readers may hold up the reopening of a database that ran out of room.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long writes are refused before the next try to reopen.
const PAUSE: Duration = Duration::from_secs(1);

/// The embedded engine of the store.
///
/// One thread commits: it takes the batches that wait, writes them to the journal with one sync, and only then
/// shows them. Dropping the engine ends the thread and closes the files.
pub struct FjallEngine {
    committer: Committer,
    shown: Arc<Mutex<Slot>>,
}

/// What readers get: what is durable, or why nothing can be read.
type Slot = Result<Arc<Shown>, EngineError>;

impl FjallEngine {
    /// Opens the database in the folder `path`, which is made if it is not there.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: impl AsRef<Path>, settings: Settings) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let opened = open(&path, &settings)?;
        let shown = Arc::new(Mutex::new(Ok(Arc::new(opened.recovered()?))));
        let mut writer = Writer { path, settings, opened: Some(opened), shown: shown.clone(), failed: None };
        let committer = Committer::start(move |batches| writer.commit(batches))?;
        Ok(FjallEngine { committer, shown })
    }
}

impl Engine for FjallEngine {
    fn snapshot(&self) -> Result<Box<dyn EngineSnapshot>, EngineError> {
        let shown = lock(&self.shown).clone()?;
        Ok(Box::new(FjallSnapshot(shown)))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Position, CommitError>> {
        Box::pin(self.committer.commit(batch))
    }
}

impl std::fmt::Debug for FjallEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FjallEngine").finish_non_exhaustive()
    }
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("another process has the store at `{0}` open")]
    Locked(PathBuf),
    /// A file cannot be read or written.
    #[error("store cannot be opened")]
    Io(#[from] io::Error),
    /// What lies there is damaged, or no database.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

fn open(path: &Path, settings: &Settings) -> Result<Opened, OpenError> {
    let opened = match Opened::open(path, settings) {
        Err(fjall::Error::JournalRecovery(_)) if mend(path)? => Opened::open(path, settings),
        other => other,
    };
    opened.map_err(|error| match error {
        fjall::Error::Locked => OpenError::Locked(path.to_owned()),
        fjall::Error::Io(error) => OpenError::Io(error),
        error => OpenError::Engine(engine_error(error)),
    })
}

fn lock(shown: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the committing thread owns.
struct Writer {
    path: PathBuf,
    settings: Settings,
    /// `None` while a database that ran out of room is closed.
    opened: Option<Opened>,
    shown: Arc<Mutex<Slot>>,
    failed: Option<Failure>,
}

/// Why nothing is written.
struct Failure {
    error: CommitError,
    /// When to try again, if at all.
    retry: Option<Instant>,
}

impl Writer {
    fn commit(&mut self, batches: Vec<Batch>) -> Vec<Outcome> {
        let count = batches.len();
        match self.try_commit(batches) {
            Ok(outcomes) => outcomes,
            Err(error) => vec![Err(error); count],
        }
    }

    fn try_commit(&mut self, batches: Vec<Batch>) -> Result<Vec<Outcome>, CommitError> {
        self.recover()?;
        self.expect_room()?;
        let shown = lock(&self.shown).clone().map_err(CommitError::Engine)?;
        let mut assembled = assemble(batches, shown.position, |table, key| shown.get(table, key))
            .map_err(CommitError::Engine)?;
        drop(shown);
        if assembled.operations.is_empty() && assembled.outcomes.iter().all(Result::is_err) {
            return Ok(assembled.outcomes);
        }
        match self.write(&mut assembled) {
            Ok(()) => {
                assembled.announce();
                Ok(assembled.outcomes)
            }
            Err(error) => Ok(assembled.failed(&self.fail(error))),
        }
    }

    fn write(&self, assembled: &mut Assembled) -> Result<(), fjall::Error> {
        let opened = self.opened.as_ref().ok_or(fjall::Error::Poisoned)?;
        opened.write(std::mem::take(&mut assembled.operations), assembled.last)?;
        *lock(&self.shown) = Ok(Arc::new(opened.show(assembled.last)));
        Ok(())
    }

    /// Refuses writes while the disk is nearly full.
    fn expect_room(&self) -> Result<(), CommitError> {
        match free_bytes(&self.path) {
            Ok(free) if free < self.settings.reserve_bytes => Err(CommitError::Full),
            Ok(_) => Ok(()),
            Err(error) => Err(CommitError::Engine(EngineError(error.to_string()))),
        }
    }

    /// Remembers that writing failed; returns what this means for the batches.
    ///
    /// Having run out of room passes, and so does a failed background task of the database; then it
    /// is opened again. After a failed sync nobody knows what is on the disk, and nothing is written any more.
    fn fail(&mut self, error: fjall::Error) -> CommitError {
        let passes = matches!(error, fjall::Error::Poisoned) || is_full(&error);
        let error = CommitError::Engine(engine_error(error));
        self.failed = Some(Failure { error: error.clone(), retry: passes.then(|| Instant::now() + PAUSE) });
        error
    }

    /// Opens a failed database again when it is time.
    fn recover(&mut self) -> Result<(), CommitError> {
        let Some(failure) = &self.failed else { return Ok(()) };
        if failure.retry.is_none_or(|retry| Instant::now() < retry) {
            return Err(failure.error.clone());
        }
        self.expect_room()?;
        if let Err(error) = self.reopen() {
            let error = CommitError::Engine(error);
            self.failed = Some(Failure { error: error.clone(), retry: Some(Instant::now() + PAUSE) });
            return Err(error);
        }
        self.failed = None;
        Ok(())
    }

    /// Closes the database and opens it again. Readers wait meanwhile; if some do not let go of their snapshots,
    /// everything stays as it was.
    fn reopen(&mut self) -> Result<(), EngineError> {
        let mut slot = lock(&self.shown);
        if let Ok(shown) = slot.as_ref() {
            wait_for_readers(shown)?;
        }
        *slot = Err(EngineError("being opened again".to_owned()));
        self.opened = None;
        let opened = open(&self.path, &self.settings).map_err(|error| EngineError(error.to_string()))?;
        *slot = opened.recovered().map(Arc::new);
        self.opened = Some(opened);
        Ok(())
    }
}

fn wait_for_readers(shown: &Arc<Shown>) -> Result<(), EngineError> {
    let deadline = Instant::now() + PATIENCE;
    while Arc::strong_count(shown) > 1 {
        if Instant::now() > deadline {
            return Err(EngineError("readers hold up the reopening".to_owned()));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn is_full(error: &fjall::Error) -> bool {
    let io = match error {
        fjall::Error::Io(io) => io,
        fjall::Error::Storage(fjall::LsmError::Io(io)) => io,
        _ => return false,
    };
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(io.kind(), StorageFull | QuotaExceeded)
}
