//! A compact store: an append-only log of records, and in memory 16 bytes of index per tenant and 2 to 4 per key.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ruma_common::ServerName;
use thiserror::Error;

use crate::{MasterKeyId, Replaced, SealedStore, key_filter::KeyFilter, tenant_keys};

/// Bytes that can be read anywhere and grow at the end: a file, or a `Vec<u8>` in a test.
pub trait Blob {
    /// Why reading or writing failed.
    type Error;

    /// Length in bytes.
    ///
    /// # Errors
    ///
    /// The blob's own.
    fn size(&self) -> Result<u64, Self::Error>;

    /// Reads exactly `buffer.len()` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// The blob's own, also when there are fewer bytes.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Self::Error>;

    /// Appends bytes; they are durable when this returns.
    ///
    /// # Errors
    ///
    /// The blob's own.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// A [`SealedStore`] in one growing [`Blob`].
///
/// Nothing is ever overwritten: a changed record is appended, and what it was before stays in the
/// log. In memory lie a fingerprint and an offset per tenant, and two to four bytes per key from
/// which it is known that most keys are new to the log, so a hundred thousand tenants cost a few
/// megabytes. That a key is another tenant's is found by reading through the log.
///
/// An entry is u32 length and u32 check of the tenant and the record that follow, then u16 length
/// and tenant, then the record; integers are big endian.
pub struct KeyLog<B> {
    state: Mutex<State<B>>,
}

impl<B: Blob> KeyLog<B> {
    /// Opens a log by reading its entries once. An empty blob is an empty log.
    ///
    /// # Errors
    ///
    /// [`KeyLogError::Damaged`] if an entry is cut off or changed. The log is left as it is: a torn
    /// last entry was never acknowledged, but whether it is one is for the operator to say
    /// ([`KeyLogError::Damaged`] tells the offset up to which all is well).
    pub fn open(blob: B) -> Result<Self, KeyLogError<B::Error>> {
        let end = blob.size().map_err(KeyLogError::Blob)?;
        let (index, held, masters) = (BTreeMap::new(), KeyFilter::default(), BTreeSet::new());
        let mut state = State { blob, index, held, masters, end: 0 };
        while state.end < end {
            let offset = state.end;
            let entry = state.read(offset, end)?;
            let (slot, _) = state.find(&entry.tenant)?;
            state.index.insert(slot, offset);
            state.end = offset + entry.bytes;
            // A record that cannot be read says so when it is loaded.
            let held = tenant_keys::held_in(&entry.record).unwrap_or_default();
            for (key, master) in held {
                state.held.insert(&key);
                state.masters.insert(master);
            }
        }
        Ok(Self { state: Mutex::new(state) })
    }

    /// The number of tenants with a record.
    pub fn tenants(&self) -> usize {
        self.lock().index.len()
    }

    /// The master keys under which the log had secrets sealed when it was opened. Where there are some, and the one at hand is none
    /// of them, it opens nothing.
    pub fn master_keys(&self) -> BTreeSet<MasterKeyId> {
        self.lock().masters.clone()
    }

    /// Gives the blob back.
    pub fn into_blob(self) -> B {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).blob
    }

    fn lock(&self) -> MutexGuard<'_, State<B>> {
        // A thread that panicked while appending leaves the index as it was before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Blob> SealedStore for KeyLog<B> {
    type Error = KeyLogError<B::Error>;

    fn load(&self, tenant: &ServerName) -> Result<Option<Vec<u8>>, Self::Error> {
        let (_, found) = self.lock().find(tenant.as_bytes())?;
        Ok(found)
    }

    fn replace(
        &self,
        tenant: &ServerName,
        expected: Option<&[u8]>,
        next: &[u8],
        new_keys: &[[u8; 32]],
    ) -> Result<Replaced, Self::Error> {
        let mut state = self.lock();
        let (slot, found) = state.find(tenant.as_bytes())?;
        if found.as_deref() != expected {
            return Ok(Replaced::Stale);
        }
        for key in new_keys {
            if state.held.may_have(key) && state.is_held_by_another(tenant.as_bytes(), key)? {
                return Ok(Replaced::KeyTaken { key: *key });
            }
        }
        let offset = state.end;
        let entry =
            encode_entry(tenant.as_bytes(), next).ok_or(KeyLogError::TooLong { bytes: next.len() })?;
        // A failed append may have left a part behind; the length says where the next entry begins.
        if state.blob.size().map_err(KeyLogError::Blob)? != offset {
            return Err(KeyLogError::Damaged { offset });
        }
        state.blob.append(&entry).map_err(KeyLogError::Blob)?;
        state.index.insert(slot, offset);
        state.end = offset + entry.len() as u64;
        new_keys.iter().for_each(|key| state.held.insert(key));
        Ok(Replaced::Done)
    }
}

impl<B> fmt::Debug for KeyLog<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLog(..)")
    }
}

/// Why a key log cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyLogError<E> {
    /// The blob failed.
    #[error("the key log cannot be accessed: {0}")]
    Blob(E),
    /// An entry is cut off or changed.
    #[error("the key log is damaged at byte {offset}")]
    Damaged {
        /// Where the entry begins; all entries before it are whole.
        offset: u64,
    },
    /// A record is too long for the log.
    #[error("a record of {bytes} bytes is too long for the key log")]
    TooLong {
        /// Length of the record.
        bytes: usize,
    },
}

/// The longest record the log takes, in bytes; 480 keys need some 90,000.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

struct State<B> {
    blob: B,
    /// Fingerprint of the tenant to the offset of its last entry.
    ///
    /// INVARIANT: tenants are never removed, so a tenant whose fingerprint was taken lies in the
    /// next free place and is found by walking there.
    index: BTreeMap<u64, u64>,
    /// The keys whose secrets are in the log.
    held: KeyFilter,
    /// Under which master keys those were sealed that were there at the start.
    masters: BTreeSet<MasterKeyId>,
    end: u64,
}

struct Entry {
    tenant: Vec<u8>,
    record: Vec<u8>,
    bytes: u64,
}

impl<B: Blob> State<B> {
    /// The place of a tenant in the index, and its record if it has one.
    #[expect(clippy::type_complexity, reason = "the two halves of one look-up")]
    fn find(&self, tenant: &[u8]) -> Result<(u64, Option<Vec<u8>>), KeyLogError<B::Error>> {
        let mut slot = fingerprint(tenant);
        while let Some(offset) = self.index.get(&slot) {
            let entry = self.read(*offset, self.end)?;
            if entry.tenant == tenant {
                return Ok((slot, Some(entry.record)));
            }
            slot = slot.wrapping_add(1);
        }
        Ok((slot, None))
    }

    /// Reads the record of every tenant: some tenths of a second for a hundred thousand.
    fn is_held_by_another(&self, tenant: &[u8], key: &[u8; 32]) -> Result<bool, KeyLogError<B::Error>> {
        for offset in self.index.values() {
            let entry = self.read(*offset, self.end)?;
            let holds = |held: Vec<([u8; 32], MasterKeyId)>| held.iter().any(|(held, _)| held == key);
            if entry.tenant != tenant && tenant_keys::held_in(&entry.record).is_ok_and(holds) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read(&self, offset: u64, end: u64) -> Result<Entry, KeyLogError<B::Error>> {
        let damaged = KeyLogError::Damaged { offset };
        let mut header = [0; 8];
        if end.saturating_sub(offset) < 8 {
            return Err(damaged);
        }
        self.blob.read_at(offset, &mut header).map_err(KeyLogError::Blob)?;
        let [l0, l1, l2, l3, check @ ..] = header;
        let length = u64::from(u32::from_be_bytes([l0, l1, l2, l3]));
        if length > end - offset - 8 || length > RECORD_BYTES_MAX as u64 + 1024 {
            return Err(damaged);
        }
        let mut body = vec![0; length as usize];
        self.blob.read_at(offset + 8, &mut body).map_err(KeyLogError::Blob)?;
        let parts = (checksum(&body) == check).then(|| split_body(&body)).flatten();
        let Some((tenant, record)) = parts else { return Err(damaged) };
        Ok(Entry { tenant: tenant.to_vec(), record: record.to_vec(), bytes: 8 + length })
    }
}

fn encode_entry(tenant: &[u8], record: &[u8]) -> Option<Vec<u8>> {
    if record.len() > RECORD_BYTES_MAX {
        return None;
    }
    let body = [&u16::try_from(tenant.len()).ok()?.to_be_bytes()[..], tenant, record].concat();
    let length = u32::try_from(body.len()).ok()?.to_be_bytes();
    Some([&length[..], &checksum(&body), &body].concat())
}

fn split_body(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

/// Tells torn and decayed entries; whoever changes one on purpose is the business of the seal.
fn checksum(body: &[u8]) -> [u8; 4] {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(body);
    digest.first_chunk::<4>().copied().unwrap_or_default()
}

/// Never stored, so it may differ between versions of the standard library.
fn fingerprint(tenant: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    tenant.hash(&mut hasher);
    hasher.finish()
}

/// A blob in memory, for tests and tools.
impl Blob for Vec<u8> {
    type Error = OutOfRange;

    fn size(&self) -> Result<u64, OutOfRange> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        let start = usize::try_from(offset).map_err(|_| OutOfRange)?;
        let end = start.checked_add(buffer.len()).ok_or(OutOfRange)?;
        buffer.copy_from_slice(self.get(start..end).ok_or(OutOfRange)?);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), OutOfRange> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// A read beyond the end of a blob in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("read beyond the end")]
pub struct OutOfRange;

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(index: usize) -> ruma_common::OwnedServerName {
        ServerName::parse(format!("t{index}.example.org")).unwrap()
    }

    #[test]
    fn the_last_record_of_each_tenant_is_found_also_after_reopening() {
        let mut log = KeyLog::open(Vec::new()).unwrap();
        for round in 0..3_u8 {
            for index in 0..50 {
                let before = round.checked_sub(1).map(|before| vec![before; index]);
                let replaced =
                    log.replace(&tenant(index), before.as_deref(), &vec![round; index], &[]).unwrap();
                assert_eq!(replaced, Replaced::Done);
            }
            log = KeyLog::open(log.into_blob()).unwrap();
        }
        assert_eq!(log.tenants(), 50);
        for index in 0..50 {
            assert_eq!(log.load(&tenant(index)).unwrap(), Some(vec![2; index]));
        }
        assert_eq!(log.load(&tenant(50)).unwrap(), None);
    }

    #[test]
    fn of_two_changes_to_the_same_record_one_starts_over() {
        let log = KeyLog::open(Vec::new()).unwrap();
        assert_eq!(log.replace(&tenant(1), None, b"a", &[]).unwrap(), Replaced::Done);
        assert_eq!(log.replace(&tenant(1), None, b"b", &[]).unwrap(), Replaced::Stale);
        assert_eq!(log.replace(&tenant(1), Some(b"x"), b"b", &[]).unwrap(), Replaced::Stale);
        assert_eq!(log.load(&tenant(1)).unwrap().as_deref(), Some(&b"a"[..]));
        assert_eq!(log.replace(&tenant(1), Some(b"a"), b"b", &[]).unwrap(), Replaced::Done);
    }

    #[test]
    fn tenants_whose_fingerprints_collide_keep_their_own_records() {
        let log = KeyLog::open(Vec::new()).unwrap();
        assert_eq!(log.replace(&tenant(1), None, b"one", &[]).unwrap(), Replaced::Done);
        {
            // As if tenant 2 had the fingerprint of tenant 1.
            let mut state = log.lock();
            let offset = *state.index.values().next().unwrap();
            state.index.insert(fingerprint(tenant(2).as_bytes()), offset);
        }
        assert_eq!(log.load(&tenant(2)).unwrap(), None);
        assert_eq!(log.replace(&tenant(2), None, b"two", &[]).unwrap(), Replaced::Done);
        assert_eq!(log.load(&tenant(1)).unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(log.load(&tenant(2)).unwrap().as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn a_damaged_log_is_refused_and_says_where() {
        let log = KeyLog::open(Vec::new()).unwrap();
        assert_eq!(log.replace(&tenant(1), None, b"one", &[]).unwrap(), Replaced::Done);
        let first = log.lock().end;
        assert_eq!(log.replace(&tenant(2), None, b"two", &[]).unwrap(), Replaced::Done);
        let blob = log.into_blob();
        for cut in first as usize + 1..blob.len() {
            let error = KeyLog::open(blob[..cut].to_vec()).unwrap_err();
            assert_eq!(error, KeyLogError::Damaged { offset: first }, "cut at {cut}");
        }
        for flip in first as usize..blob.len() {
            let mut changed = blob.clone();
            changed[flip] ^= 1;
            assert_eq!(KeyLog::open(changed).unwrap_err(), KeyLogError::Damaged { offset: first });
        }
    }

    #[test]
    fn the_index_holds_16_bytes_per_tenant() {
        let entry = size_of::<u64>() * 2;
        // A leaf of the standard B-tree holds 5 to 11 entries and some 16 bytes besides; inner
        // nodes add a fifth. Even half-full nodes stay below 64 bytes per tenant.
        let worst = (11 * entry + 16) as f64 / 5.0 * 1.25;
        assert!(worst < 64.0, "{worst}");
        let log = KeyLog::open(Vec::new()).unwrap();
        for index in 0..1000 {
            assert_eq!(log.replace(&tenant(index), None, &[0; 300], &[]).unwrap(), Replaced::Done);
        }
        assert_eq!(size_of_val(log.lock().index.first_key_value().unwrap().0), 8);
        assert_eq!(log.tenants(), 1000);
    }
}
