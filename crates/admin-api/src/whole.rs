//! The whole of what the server keeps: backups while it works, and checks.

use std::fmt;
use std::path::{Path, PathBuf};

use freehold_store::backup::{Backup, BackupError, Contents, PREFIX, Verify};
use freehold_store::{ReadError, Store};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// The file of a backup that holds the store.
pub const STORE_FILE: &str = "store.backup";
/// The file that holds the tenants' keys, sealed under the master key: in the data directory and in a backup.
pub const KEYS_FILE: &str = "keys.log";

/// A backup that was made, and read again from its first to its last byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMade {
    /// Where it is.
    pub directory: PathBuf,
    /// The position of the last change in it.
    pub position: u64,
    /// How many rows it has.
    pub rows: u64,
}

/// Makes a backup in a new directory, and reads it again.
///
/// The keys are copied after the snapshot was taken: the backup holds at least the keys of every tenant in it.
pub(crate) async fn back_up(store: &Store, data: &Path, directory: &Path) -> Result<BackupMade, WholeError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WholeError::Io { path, source }
    };
    tokio::fs::create_dir(directory).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => WholeError::Exists { path: directory.to_owned() },
        _ => failed(directory)(error),
    })?;
    let file = directory.join(STORE_FILE);
    write(store, &file).await.map_err(|error| error.in_file(&file))?;
    let keys = directory.join(KEYS_FILE);
    tokio::fs::copy(data.join(KEYS_FILE), &keys).await.map_err(failed(&keys))?;
    sync(&keys).await.map_err(failed(&keys))?;
    sync(directory).await.map_err(failed(directory))?;
    let contents = verify(&file).await?;
    let Contents { position, rows } = contents;
    Ok(BackupMade { directory: directory.to_owned(), position: position.0, rows })
}

async fn write(store: &Store, file: &Path) -> Result<(), FileError> {
    let mut backup = Backup::new(store.snapshot()?);
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).await?;
    while let Some(frame) = backup.frame().await? {
        out.write_all(&frame).await?;
    }
    out.flush().await?;
    Ok(out.sync_all().await?)
}

async fn sync(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().read(true).open(path).await?.sync_all().await
}

/// Reads the file of a backup from its first to its last byte.
///
/// # Errors
/// [`WholeError`].
pub async fn verify(file: &Path) -> Result<Contents, WholeError> {
    let read = async {
        let mut verify = Verify::default();
        let mut frames = Frames::open(file).await?;
        while let Some(frame) = frames.next().await? {
            verify.frame(&frame)?;
        }
        Ok(verify.end()?)
    };
    read.await.map_err(|error: FileError| error.in_file(file))
}

/// The frames of a backup, one after the other.
pub struct Frames(BufReader<File>);

impl Frames {
    /// Opens the file of a backup.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn open(file: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).open(file).await?;
        Ok(Frames(BufReader::new(file)))
    }

    /// The next frame, without its prefix; `None` at the end of the file.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let mut prefix = [0; PREFIX];
        match self.0.read_exact(&mut prefix).await {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let mut frame = vec![0; Verify::length(prefix)?];
        match self.0.read_exact(&mut frame).await {
            Ok(_) => Ok(Some(frame)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(BackupError::Incomplete.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Display for BackupMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} holds {} rows, up to position {}; it was read again and is whole",
            self.directory.display(),
            self.rows,
            self.position
        )?;
        f.write_str("Neither the master key nor the files of media are in it. Without the key, the tenants' keys in it are of no use: \
             keep it elsewhere. The files never change: copy them after the backup.")
    }
}

/// Why a backup was not made or cannot be used.
#[derive(Debug, Error)]
pub enum WholeError {
    /// A backup is made in a new directory, so that none is overwritten.
    #[error("`{}` is there already: name a directory that is not", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// A file or directory cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The backup is damaged or does not fit.
    #[error("{}", path.display())]
    Backup {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: BackupError,
    },
}

/// A failure with a file of a backup that is known to who reads it.
#[derive(Debug, Error)]
pub enum FileError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The backup is damaged or does not fit.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

impl From<ReadError> for FileError {
    fn from(error: ReadError) -> Self {
        FileError::Backup(error.into())
    }
}

impl FileError {
    /// Says which file.
    pub fn in_file(self, file: &Path) -> WholeError {
        match self {
            FileError::Io(source) => WholeError::Io { path: file.to_owned(), source },
            FileError::Backup(source) => WholeError::Backup { path: file.to_owned(), source },
        }
    }
}
