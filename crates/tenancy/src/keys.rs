//! The keys of all tenants in one file of the data directory, sealed under a master key from another.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use freehold_keyring::{
    Blob, KeyLog, KeyLogError, Keyring, KeyringSettings, MasterKey, MasterKeyError, MasterKeys,
};
use getrandom::SysRng;
use thiserror::Error;

/// The keys of all tenants.
pub type TenantKeyring = Keyring<KeyLog<KeyFile>>;

/// The file in which sealed keys lie; it only grows.
#[derive(Debug)]
pub struct KeyFile(File);

impl KeyFile {
    /// Opens the file, and makes an empty one that only its owner can read if there is none.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        options.open(path).map(KeyFile)
    }
}

impl Blob for KeyFile {
    type Error = io::Error;

    fn size(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.sync_data()
    }
}

/// Opens the keys of all tenants that lie in `path`, sealed under the master key in the file `master`. While there are no
/// keys, a master key is made if there is none, in a file that only its owner can read.
///
/// # Errors
/// [`KeyFileError`]; a damaged file is left as it is, and no master key is made in the place of one that is needed.
pub fn open_keys(path: &Path, master: &Path) -> Result<TenantKeyring, KeyFileError> {
    let failed = |source| KeyFileError::Log { path: path.to_owned(), source };
    let blob = KeyFile::open(path).map_err(|error| failed(KeyLogError::Blob(error)))?;
    let log = KeyLog::open(blob).map_err(failed)?;
    let sealed_under = log.master_keys();
    if !sealed_under.is_empty() && !master.exists() {
        return Err(KeyFileError::NoMaster { master: master.to_owned(), path: path.to_owned() });
    }
    let key = read_master_key(master)?;
    if !sealed_under.is_empty() && !sealed_under.contains(&key.id()) {
        return Err(KeyFileError::OtherMaster { master: master.to_owned(), path: path.to_owned() });
    }
    Ok(Keyring::new(log, MasterKeys::new(key), KeyringSettings::default()))
}

/// The keys of all tenants cannot be opened.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// Their file cannot be read.
    #[error("keys in `{}`", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyLogError<io::Error>,
    },
    /// The master key cannot be read or made.
    #[error(transparent)]
    Master(#[from] MasterKeyFileError),
    /// There are keys, and no master key.
    #[error("the master key is not there: put the one under which the keys in `{}` are sealed in `{}`", path.display(), master.display())]
    NoMaster {
        /// Where it should be.
        master: PathBuf,
        /// The file with the keys.
        path: PathBuf,
    },
    /// The keys are sealed under another master key.
    #[error("`{}` is not the master key under which the keys in `{}` are sealed", master.display(), path.display())]
    OtherMaster {
        /// The file with the master key.
        master: PathBuf,
        /// The file with the keys.
        path: PathBuf,
    },
}

/// Reads the master key from a file, and makes one that only its owner can read if there is none.
fn read_master_key(path: &Path) -> Result<MasterKey, MasterKeyFileError> {
    let failed = |source| MasterKeyFileError::Io { path: path.to_owned(), source };
    let wrong = |source| MasterKeyFileError::Key { path: path.to_owned(), source };
    match OpenOptions::new().read(true).open(path) {
        Ok(mut file) => {
            let mut contents = Vec::new();
            file.read_to_end(&mut contents).map_err(failed)?;
            MasterKey::parse(&contents).map_err(wrong)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = MasterKey::generate(&mut SysRng).map_err(wrong)?;
            write_new(path, key.to_base64().as_bytes()).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// There is no master key.
#[derive(Debug, Error)]
pub enum MasterKeyFileError {
    /// The file cannot be read or made.
    #[error("master key file `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file holds no master key.
    #[error("master key file `{}`", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: MasterKeyError,
    },
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use ruma_common::server_name;

    use super::*;

    #[test]
    fn keys_are_there_again_after_reopening_and_only_with_the_same_master_key() {
        let folder = tempfile::tempdir().unwrap();
        let (log, master) = (folder.path().join("keys.log"), folder.path().join("master.key"));
        let tenant = server_name!("example.org");
        let open = || open_keys(&log, &master).unwrap();
        let key_id = open().create(tenant, 1, &mut SysRng).unwrap();
        assert_eq!(open().keys(tenant, 2).unwrap().first().map(|key| key.key_id.clone()), Some(key_id));
        let purpose = freehold_keyring::Purpose::Notary { server: server_name!("example.com") };
        assert!(open().signer(tenant, purpose, 2).is_ok());

        let other = folder.path().join("other.key");
        assert!(matches!(open_keys(&log, &other), Err(KeyFileError::NoMaster { .. })));
        assert!(!other.exists(), "none is made that opens nothing");
        read_master_key(&other).unwrap();
        assert!(matches!(open_keys(&log, &other), Err(KeyFileError::OtherMaster { .. })));
        assert!(open().signer(tenant, purpose, 2).is_ok());
    }

    #[test]
    fn what_holds_keys_can_be_read_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let (log, master) = (folder.path().join("keys.log"), folder.path().join("master.key"));
        open_keys(&log, &master).unwrap();
        for path in [log, master] {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
