//! The data directory: one server at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A data directory that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct Data {
    path: PathBuf,
    _lock: File,
}

impl Data {
    /// Takes the data directory, and makes one that only its owner can enter if there is none.
    ///
    /// # Errors
    /// [`DataError::InUse`] while a server runs on it.
    pub(crate) fn take(path: &Path) -> Result<Self, DataError> {
        let failed = |source| DataError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(path.join("lock"));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Data { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The socket through which the server on a data directory takes its operator's commands.
pub(crate) fn admin_socket(path: &Path) -> PathBuf {
    path.join("admin.sock")
}

/// Why the data directory is not ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    /// A server runs on it.
    #[error("`{}` is in use by a server that runs", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be made or locked.
    #[error("data directory `{}`", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let data = Data::take(&path).unwrap();
        assert!(matches!(Data::take(&path), Err(DataError::InUse { .. })));
        drop(data);
        assert!(Data::take(&path).is_ok());
    }
}
