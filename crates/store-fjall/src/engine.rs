//! The engine: opening, reading and handing on.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use freehold_store::{Batch, BoxFuture, CommitError, Engine, EngineError, EngineSnapshot, Position};

use crate::committer::Committer;
use crate::journal::{self, Found, Place};
use crate::settings::{Memory, Settings};
use crate::snapshot::FjallSnapshot;
use crate::sorter::{Eraser, Sorter};
use crate::tree::Tree;
use crate::writer::{Writer, new_segment};

/// What the file `format` holds. Another content is another version of the engine's files.
const FORMAT: &[u8] = b"freehold store 1\n";

/// The embedded engine of the store.
///
/// One thread commits: it takes the batches that wait, writes them to the journal with one sync, and only then
/// shows them. Another sorts what is in memory into files. Dropping the engine ends both and closes the files.
pub struct FjallEngine {
    committer: Committer,
    tree: Arc<Tree>,
    eraser: Option<Eraser>,
    _lock: File,
}

impl FjallEngine {
    /// Opens the store in the folder `path`, which is made if it is not there.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: impl AsRef<Path>, settings: Settings) -> Result<Self, OpenError> {
        let folder = path.as_ref().to_owned();
        fs::create_dir_all(&folder)?;
        let lock = locked(&folder)?;
        expect_format(&folder)?;
        let tree = Arc::new(Tree::open(&folder.join("tree"), &settings)?);
        let found = journal::find(&folder)?;
        let next = found.last().map_or(1, |found| found.number + 1);
        let replayed = replay(&tree, &found)?;
        tree.show_recovered()?;
        let segment = new_segment(&folder, next, &settings)?;
        let sorter = Sorter::start(tree.clone())?;
        tree.seal();
        replayed.into_iter().for_each(|segment| sorter.take(Some(segment)));
        let eraser = sorter.eraser();
        let writer = Writer { folder, settings, tree: tree.clone(), segment, sorter, broken: None };
        let committer = Committer::start(writer)?;
        Ok(FjallEngine { committer, tree, eraser, _lock: lock })
    }

    /// How much memory it uses now.
    pub fn memory(&self) -> Memory {
        self.tree.memory()
    }
}

impl Engine for FjallEngine {
    fn snapshot(&self) -> Result<Box<dyn EngineSnapshot>, EngineError> {
        Ok(Box::new(FjallSnapshot(self.tree.shown())))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Position, CommitError>> {
        Box::pin(self.committer.commit(batch))
    }

    /// Everything up to 512 MiB of files is written anew: with more, what was overwritten goes as files are merged.
    fn erase_overwritten(&self) -> BoxFuture<'_, Result<bool, EngineError>> {
        Box::pin(async {
            // What is in memory and in the journal becomes files first.
            self.tree.ask_to_seal();
            self.committer.commit(Batch::new()).await.map_err(|error| EngineError(error.to_string()))?;
            match &self.eraser {
                Some(eraser) => eraser.erase_overwritten().await,
                None => Ok(false),
            }
        })
    }
}

impl std::fmt::Debug for FjallEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FjallEngine").finish_non_exhaustive()
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("another process has the store at `{0}` open")]
    Locked(PathBuf),
    /// The folder holds something else, or the files of another version.
    #[error("`{0}` says that this is no store of this version")]
    Format(PathBuf),
    /// A file of the journal is damaged where no crash can have done it.
    #[error("journal `{path}` is damaged at byte {at}")]
    Journal {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from its beginning.
        at: usize,
    },
    /// A file cannot be read or written.
    #[error("store cannot be opened")]
    Io(#[from] io::Error),
    /// The sorted files are damaged or cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

fn locked(folder: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::Io(error)),
    }
}

/// Reads the format of the files, or writes it if the store is new.
fn expect_format(folder: &Path) -> Result<(), OpenError> {
    let path = folder.join("format");
    match fs::read(&path) {
        Ok(found) if found == FORMAT => Ok(()),
        Ok(_) => Err(OpenError::Format(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let new = folder.join("format.new");
            fs::write(&new, FORMAT)?;
            File::open(&new)?.sync_all()?;
            fs::rename(&new, &path)?;
            Ok(journal::sync_folder(folder)?)
        }
        Err(error) => Err(OpenError::Io(error)),
    }
}

/// Puts into memory what the journal has and the files have not. Returns the segments with the last sequence number of each.
fn replay(tree: &Tree, found: &[Found]) -> Result<Vec<(u64, PathBuf)>, OpenError> {
    let sorted = tree.sorted();
    let mut replayed = Vec::new();
    for (index, segment) in found.iter().enumerate() {
        let place = if index + 1 == found.len() { Place::Newest } else { Place::Older };
        let records = journal::recover(&segment.path, place)?
            .map_err(|damage| OpenError::Journal { path: segment.path.clone(), at: damage.0 })?;
        // A segment without records can go at once: any number is sorted that comes before all.
        let last = records.last().map_or(0, |record| record.sequence);
        for record in
            records.into_iter().filter(|record| sorted.is_none_or(|sorted| record.sequence > sorted))
        {
            tree.replay(record.sequence, record.operations);
        }
        replayed.push((last, segment.path.clone()));
    }
    Ok(replayed)
}
