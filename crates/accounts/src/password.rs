//! Passwords: hashed with Argon2id on blocking threads, a bounded number at a time.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use freehold_store::tables::accounts::PasswordRow;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::failure::ServerFailure;
use crate::random;
use crate::settings::AccountSettings;

/// A password, in Unicode form NFKC, so that it does not depend on the keyboard. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// A password as somebody typed it.
    pub fn new(typed: &str) -> Self {
        Password(Zeroizing::new(typed.nfkc().collect()))
    }

    /// A password of 24 random capital letters, for whoever had it reset.
    ///
    /// # Errors
    /// [`ServerFailure`] when the random number generator fails.
    pub fn generate() -> Result<Self, ServerFailure> {
        random::letters::<24>().map(|letters| Password(Zeroizing::new(letters)))
    }

    /// Its text, to be shown once to whoever had it generated.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// How many characters it has.
    pub fn length(&self) -> usize {
        self.0.chars().count()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What one Argon2id hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
}

/// 19 MiB and two passes, the least that OWASP recommends
/// (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id>).
impl Default for HashCost {
    fn default() -> Self {
        HashCost { memory_kib: 19 * 1024, passes: 2 }
    }
}

/// Why a password cannot be taken or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It is longer than anybody needs.
    #[error("password has {found} bytes; {max} are allowed")]
    TooLong {
        /// Its length.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// It is shorter than the tenant wants.
    #[error("password has {found} characters; at least {min} are needed")]
    TooShort {
        /// Its length.
        found: usize,
        /// The bound.
        min: usize,
    },
    /// Too many passwords wait to be hashed.
    #[error("too many logins at the same time")]
    Busy,
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

/// Hashes and compares passwords.
#[derive(Debug)]
pub(crate) struct Passwords {
    cost: HashCost,
    at_once: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
    bytes_max: usize,
    memory: Memory,
}

/// The memory that hashes work in. It is kept while others wait for it and given back with the last of them, so that a
/// burst asks the system for it once and an idle server has none.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<Vec<Block>>>>);

impl Memory {
    fn take(&self) -> Vec<Block> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn put(&self, blocks: Vec<Block>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(blocks);
    }

    fn give_back(&self) {
        let blocks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        drop(blocks);
    }
}

impl Passwords {
    pub(crate) fn new(settings: &AccountSettings) -> Self {
        Passwords {
            cost: settings.hash_cost,
            at_once: Semaphore::new(settings.hashes_at_once.max(1)),
            waiting: AtomicUsize::new(0),
            waiting_max: settings.limits.hashes_waiting,
            bytes_max: settings.limits.password_bytes,
            memory: Memory::default(),
        }
    }

    /// The hash of a new password of at least so many characters.
    pub(crate) async fn hash(&self, password: &Password, min: usize) -> Result<PasswordRow, PasswordError> {
        let found = password.length();
        if found < min {
            return Err(PasswordError::TooShort { found, min });
        }
        let salt = random::bytes::<16>()?;
        let cost = self.cost;
        let hash =
            self.run(password, move |password, memory| argon2id(password, (&salt, cost), memory)).await??;
        Ok(PasswordRow::Argon2id { memory_kib: cost.memory_kib, passes: cost.passes, salt, hash })
    }

    /// Whether a password is the one that was hashed. Without a hash it is wrong, which takes as long to say.
    pub(crate) async fn is_right(
        &self,
        password: &Password,
        row: Option<PasswordRow>,
    ) -> Result<bool, PasswordError> {
        let cost = self.cost;
        Ok(self.run(password, move |password, memory| compare(password, row, (cost, memory))).await??)
    }

    /// Whether a hash is weaker than those made now.
    pub(crate) fn is_outdated(&self, row: &PasswordRow) -> bool {
        match row {
            PasswordRow::Argon2id { memory_kib, passes, .. } => {
                *memory_kib < self.cost.memory_kib || *passes < self.cost.passes
            }
            PasswordRow::Bcrypt { .. } => true,
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        password: &Password,
        work: impl FnOnce(&[u8], &mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let found = password.0.len();
        if found > self.bytes_max {
            return Err(PasswordError::TooLong { found, max: self.bytes_max });
        }
        let place = Place::take(self).ok_or(PasswordError::Busy)?;
        let _permit = self.at_once.acquire().await.map_err(|closed| failed(&closed))?;
        let (password, memory) = (password.clone(), self.memory.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut blocks = memory.take();
            let done = work(password.0.as_bytes(), &mut blocks);
            memory.put(blocks);
            done
        });
        let done = done.await;
        drop(place);
        done.map_err(|error| failed(&error).into())
    }
}

/// A place among those who wait or are served; given back when dropped.
struct Place<'a>(&'a Passwords);

impl<'a> Place<'a> {
    fn take(passwords: &'a Passwords) -> Option<Self> {
        let before = passwords.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(passwords);
        (before < passwords.waiting_max).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.memory.give_back();
        }
    }
}

fn failed(error: &dyn fmt::Display) -> ServerFailure {
    ServerFailure::Hash(error.to_string())
}

/// For how many blocks of 1 KiB memory is asked at least. The allocator of glibc keeps what is freed unless it is more than
/// 32 MiB (`DEFAULT_MMAP_THRESHOLD_MAX` in its `malloc.c`); what is asked for and not touched takes no memory.
const BLOCKS_GIVEN_BACK: usize = 33 * 1024;

fn argon2id(
    password: &[u8],
    (salt, cost): (&[u8], HashCost),
    blocks: &mut Vec<Block>,
) -> Result<[u8; 32], ServerFailure> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, Some(32)).map_err(|error| failed(&error))?;
    blocks.reserve_exact(BLOCKS_GIVEN_BACK.saturating_sub(blocks.len()));
    blocks.resize(params.block_count(), Block::new());
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, &mut hash, blocks.as_mut_slice())
        .map_err(|error| failed(&error))?;
    Ok(hash)
}

fn compare(
    password: &[u8],
    row: Option<PasswordRow>,
    (cost, blocks): (HashCost, &mut Vec<Block>),
) -> Result<bool, ServerFailure> {
    match row {
        Some(PasswordRow::Argon2id { memory_kib, passes, salt, hash }) => {
            let found = argon2id(password, (&salt, HashCost { memory_kib, passes }), blocks)?;
            Ok(found.ct_eq(&hash).into())
        }
        Some(PasswordRow::Bcrypt { hash, pepper }) => {
            let peppered = Zeroizing::new([password, pepper.as_bytes()].concat());
            Ok(bcrypt::verify(peppered.as_slice(), &hash).unwrap_or(false))
        }
        None => argon2id(password, (&[0; 16], cost), blocks).map(|_| false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::AccountLimits;

    fn passwords() -> Passwords {
        let limits = AccountLimits { password_bytes: 20, ..AccountLimits::default() };
        let hash_cost = HashCost { memory_kib: 8, passes: 1 };
        Passwords::new(&AccountSettings { hash_cost, limits, ..AccountSettings::default() })
    }

    #[tokio::test]
    async fn the_right_password_is_right_and_every_other_is_wrong() {
        let passwords = passwords();
        let row = passwords.hash(&Password::new("correct"), 7).await.unwrap();
        assert!(passwords.is_right(&Password::new("correct"), Some(row.clone())).await.unwrap());
        assert!(!passwords.is_right(&Password::new("incorrect"), Some(row.clone())).await.unwrap());
        assert!(!passwords.is_right(&Password::new(""), Some(row)).await.unwrap());
        assert!(!passwords.is_right(&Password::new("correct"), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_password_does_not_depend_on_how_a_keyboard_composes_letters() {
        let passwords = passwords();
        let row = passwords.hash(&Password::new("se\u{f1}or"), 4).await.unwrap();
        assert!(passwords.is_right(&Password::new("sen\u{303}or"), Some(row)).await.unwrap());
    }

    #[tokio::test]
    async fn a_bcrypt_hash_of_another_server_is_compared_with_its_pepper() {
        let passwords = passwords();
        let hash = bcrypt::hash("correctpepper", 4).unwrap();
        let row = PasswordRow::Bcrypt { hash, pepper: "pepper".to_owned() };
        assert!(passwords.is_outdated(&row));
        assert!(passwords.is_right(&Password::new("correct"), Some(row.clone())).await.unwrap());
        assert!(!passwords.is_right(&Password::new("wrong"), Some(row)).await.unwrap());
    }

    #[tokio::test]
    async fn many_hashes_at_once_share_memory_and_the_last_gives_it_back() {
        let passwords = Arc::new(passwords());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let passwords = passwords.clone();
            tasks.spawn(async move { passwords.hash(&Password::new("correct"), 0).await });
        }
        let rows = tasks.join_all().await;
        assert!(passwords.memory.0.lock().unwrap().is_empty());
        for row in rows {
            assert!(passwords.is_right(&Password::new("correct"), Some(row.unwrap())).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_password_out_of_bounds_is_not_hashed() {
        let too_long = passwords().hash(&Password::new(&"x".repeat(21)), 0).await;
        assert!(matches!(too_long, Err(PasswordError::TooLong { found: 21, max: 20 })));
        let too_short = passwords().hash(&Password::new("éé"), 3).await;
        assert!(matches!(too_short, Err(PasswordError::TooShort { found: 2, min: 3 })));
    }

    #[test]
    fn the_hash_is_the_one_of_rfc_9106_as_the_reference_implementation_prints_it() {
        // From the tests of https://github.com/P-H-C/phc-winner-argon2: version 19, id, t=2, m=2^8 KiB, p=1.
        let cost = HashCost { memory_kib: 256, passes: 2 };
        let hash = argon2id(b"password", (b"somesalt", cost), &mut Vec::new()).unwrap();
        let text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe");
    }
}
