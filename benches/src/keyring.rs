//! The keys of many tenants: what they cost when nobody uses them, and to be opened.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use freehold_keyring::{Blob, KeyLog, Keyring, KeyringSettings, MasterKey, MasterKeys, Purpose};
use freehold_signing::Signer;
use getrandom::SysRng;
use ruma_common::{OwnedServerName, OwnedUserId};

use crate::table::{Table, Target};

const NOW_MS: i64 = 1_700_000_000_000;

pub(crate) fn rows(table: &mut Table) {
    let tenants = 1_000;
    let file = LogFile::create("timing");
    let keyring = fill(file.open(), tenants);
    let mut number = 0;
    let mut sign = |forget: fn(&TenantKeyring, &OwnedServerName)| {
        number = (number + 1) % tenants;
        let tenant = tenant(number);
        let sender: OwnedUserId = format!("@alice:{tenant}").try_into().expect("a user id");
        forget(&keyring, &tenant);
        let signer = keyring.signer(&tenant, Purpose::Event { sender: &sender }, NOW_MS).expect("a signer");
        signer.sign(&[7; 900])
    };
    let limit = Target::Seconds(100e-6);
    table.alone("sign 900 bytes with a key that is sealed and not loaded", limit, 0, || {
        sign(|keyring, tenant| keyring.forget_open(tenant))
    });
    table.alone("sign 900 bytes with a key that is loaded", Target::None, 0, || sign(|_, _| ()));
    table.alone("the key document, cached", Target::None, 0, || {
        keyring.key_document(&tenant(1), NOW_MS).expect("a document")
    });
}

/// The heap that tenants take when their keys lie in a file and none is open, in bytes.
pub fn heap_of_idle_tenants(tenants: usize, current: impl Fn() -> usize) -> usize {
    let file = LogFile::create("memory");
    drop(fill(file.open(), tenants));
    let before = current();
    let keyring = keyring(file.open(), master());
    let taken = current().saturating_sub(before);
    assert_eq!(keyring.open_tenant_count(), 0);
    taken
}

type TenantKeyring = Keyring<KeyLog<LogHandle>>;

fn fill(log: LogHandle, tenants: usize) -> TenantKeyring {
    let keyring = keyring(log, master());
    for number in 0..tenants {
        keyring.create(&tenant(number), NOW_MS, &mut SysRng).expect("a key");
    }
    keyring
}

fn keyring(log: LogHandle, master: MasterKey) -> TenantKeyring {
    let log = KeyLog::open(log).expect("a key log");
    Keyring::new(log, MasterKeys::new(master), KeyringSettings::default())
}

fn master() -> MasterKey {
    MasterKey::generate(&mut SysRng).expect("a master key")
}

fn tenant(number: usize) -> OwnedServerName {
    format!("tenant-{number}.example.org").try_into().expect("a server name")
}

/// A file of one run, removed at its end.
struct LogFile(PathBuf);

impl LogFile {
    fn create(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("freehold-bench-{name}-{}", std::process::id()));
        File::create(&file).expect("a file for keys");
        Self(file)
    }

    fn open(&self) -> LogHandle {
        LogHandle(File::options().read(true).append(true).open(&self.0).expect("a file for keys"))
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        // What is left behind lies where the system clears up.
        let _ = std::fs::remove_file(&self.0);
    }
}

struct LogHandle(File);

impl Blob for LogHandle {
    type Error = io::Error;

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}
