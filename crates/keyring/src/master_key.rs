//! The key under which all signing keys are sealed.

use std::fmt;

use base64::Engine as _;
use rand_core::TryCryptoRng;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{Predictable, predictable};

/// A 32-byte key that seals signing keys at rest.
///
/// Whoever has it and the store can sign for every tenant. It is wiped when it is dropped, and
/// `Debug` shows its [`id`](Self::id) only.
pub struct MasterKey {
    bytes: Zeroizing<[u8; 32]>,
    id: MasterKeyId,
}

impl MasterKey {
    /// Takes 32 bytes as a master key. The caller wipes its own copy.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError::Predictable`] for bytes that no generator made.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, MasterKeyError> {
        predictable::check_secret(bytes)?;
        let digest = Sha256::new().chain_update(ID_DOMAIN).chain_update(bytes).finalize();
        let mut id = [0; 8];
        id.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
        Ok(Self { bytes: Zeroizing::new(*bytes), id: MasterKeyId(id) })
    }

    /// Reads what a file, an environment variable or a systemd credential holds.
    ///
    /// Accepted are 32 raw bytes (`head -c 32 /dev/urandom`), their base64, padded or not
    /// (`openssl rand -base64 32`), and their hexadecimal form (`openssl rand -hex 32`); around the
    /// two texts also white space. Which one it is follows from the length. The caller reads the
    /// contents, and wipes them.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`], which never holds a part of the contents.
    pub fn parse(contents: &[u8]) -> Result<Self, MasterKeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        let text = contents.trim_ascii();
        let read = match (contents.len(), text.len()) {
            (32, _) => {
                bytes.copy_from_slice(contents);
                true
            }
            (_, 43 | 44) => {
                let unpadded = text.strip_suffix(b"=").unwrap_or(text);
                let engine = &base64::engine::general_purpose::STANDARD_NO_PAD;
                engine.decode_slice(unpadded, bytes.as_mut_slice()) == Ok(32)
            }
            (_, 64) => decode_hex(text, &mut bytes).is_some(),
            _ => return Err(MasterKeyError::Length { bytes: contents.len() }),
        };
        if read { Self::from_bytes(&bytes) } else { Err(MasterKeyError::Encoding) }
    }

    /// Makes a master key from the caller's generator, which is to be the operating system's.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError::Generator`] when the generator fails, [`MasterKeyError::Predictable`] when
    /// it visibly does not work.
    pub fn generate(rng: &mut impl TryCryptoRng) -> Result<Self, MasterKeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(bytes.as_mut_slice()).map_err(|_| MasterKeyError::Generator)?;
        Self::from_bytes(&bytes)
    }

    /// The key in unpadded base64, for the operator to keep. Wiped when dropped.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(base64::engine::general_purpose::STANDARD_NO_PAD.encode(self.bytes.as_slice()))
    }

    /// Says which master key this is without saying what it is.
    pub fn id(&self) -> MasterKeyId {
        self.id
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

/// Names a master key: 8 bytes of a hash, written into everything sealed under it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterKeyId(pub(crate) [u8; 8]);

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeyId({self})")
    }
}

/// The master key that seals, and those that still open what was sealed before.
///
/// To replace a master key, put the new one first and the old one behind it, call
/// [`Keyring::reseal`](crate::Keyring::reseal) for every tenant, then drop the old one.
#[derive(Debug)]
pub struct MasterKeys {
    current: MasterKey,
    previous: Vec<MasterKey>,
}

impl MasterKeys {
    /// Seals and opens under one key.
    pub fn new(current: MasterKey) -> Self {
        Self { current, previous: Vec::new() }
    }

    /// Also opens what was sealed under `key`.
    #[must_use]
    pub fn with_previous(mut self, key: MasterKey) -> Self {
        self.previous.push(key);
        self
    }

    pub(crate) fn current(&self) -> &MasterKey {
        &self.current
    }

    pub(crate) fn find(&self, id: MasterKeyId) -> Option<&MasterKey> {
        std::iter::once(&self.current).chain(&self.previous).find(|key| key.id == id)
    }
}

/// Why there is no master key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// Neither 32 bytes nor the length of one of their encodings.
    #[error("a master key is 32 bytes, their base64 or their hexadecimal form, got {bytes} bytes")]
    Length {
        /// Length of the contents.
        bytes: usize,
    },
    /// The length of an encoding, but other characters.
    #[error("the master key is neither base64 nor hexadecimal")]
    Encoding,
    /// The bytes can be guessed.
    #[error("the master key can be guessed: {0}")]
    Predictable(#[from] Predictable),
    /// The caller's generator failed.
    #[error("the random number generator failed")]
    Generator,
}

const ID_DOMAIN: &[u8] = b"freehold.keyring.master-key-id.1\0";

fn decode_hex(text: &[u8], bytes: &mut [u8; 32]) -> Option<()> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> [u8; 32] {
        Sha256::digest(b"a master key for tests").into()
    }

    #[test]
    fn every_way_to_keep_a_master_key_reads_as_the_same_key() {
        let key = MasterKey::from_bytes(&bytes()).unwrap();
        let base64 = key.to_base64();
        let hex: String = bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        for contents in [
            bytes().to_vec(),
            base64.as_bytes().to_vec(),
            format!("{}=", *base64).into_bytes(),
            format!(" {}\r\n", *base64).into_bytes(),
            hex.clone().into_bytes(),
            format!("{}\n", hex.to_uppercase()).into_bytes(),
        ] {
            assert_eq!(MasterKey::parse(&contents).unwrap().bytes(), &bytes());
        }
    }

    #[test]
    fn what_is_no_master_key_is_refused() {
        for (contents, expected) in [
            (b"".to_vec(), MasterKeyError::Length { bytes: 0 }),
            (b"hunter2".to_vec(), MasterKeyError::Length { bytes: 7 }),
            (vec![b'!'; 43], MasterKeyError::Encoding),
            (vec![b'g'; 64], MasterKeyError::Encoding),
            (vec![0; 32], MasterKeyError::Predictable(Predictable::Repeats { period: 1 })),
            (b"correct horse battery staple 123".to_vec(), MasterKeyError::Predictable(Predictable::Text)),
        ] {
            assert_eq!(MasterKey::parse(&contents).unwrap_err(), expected);
        }
    }

    #[test]
    fn debug_of_master_keys_shows_ids_only() {
        let keys = MasterKeys::new(MasterKey::from_bytes(&bytes()).unwrap());
        assert_eq!(format!("{keys:?}"), "MasterKeys { current: MasterKey(d9f72af177b8609a), previous: [] }");
    }
}
