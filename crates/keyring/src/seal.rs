//! Secret keys at rest: XChaCha20-Poly1305 under a master key.

use chacha20poly1305::{AeadInOut as _, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use freehold_signing::{KeyId, SigningKey};
use rand_core::TryCryptoRng;
use ruma_common::ServerName;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    SecretKey,
    master_key::{MasterKeyId, MasterKeys},
};

/// A sealed seed. It says nothing about the key it holds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) master_key: MasterKeyId,
    pub(crate) nonce: [u8; 24],
    pub(crate) ciphertext: [u8; 32],
    pub(crate) tag: [u8; 16],
}

/// What a sealed key belongs to; the seal opens for exactly this.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) tenant: &'a ServerName,
    pub(crate) key_id: &'a KeyId,
    pub(crate) key: &'a [u8; 32],
}

/// Seals under the current master key with a fresh nonce. `Err` when the generator fails.
pub(crate) fn seal(
    secret: &SecretKey,
    tenant: &ServerName,
    masters: &MasterKeys,
    rng: &mut impl TryCryptoRng,
) -> Result<Sealed, SealError> {
    let owner = Owner { tenant, key_id: secret.key_id(), key: secret.verifying_key().as_bytes() };
    let mut nonce = [0; 24];
    rng.try_fill_bytes(&mut nonce).map_err(|_| SealError::Generator)?;
    let master = masters.current();
    // Encrypted in place, so only one copy of the seed needs wiping.
    let mut buffer = Zeroizing::new(*secret.seed());
    let cipher = XChaCha20Poly1305::new(master.bytes().into());
    let tag = cipher
        .encrypt_inout_detached(&XNonce::from(nonce), &associated_data(owner), buffer.as_mut_slice().into())
        .map_err(|_| SealError::Cipher)?;
    Ok(Sealed { master_key: master.id(), nonce, ciphertext: *buffer, tag: tag.into() })
}

/// Opens a seal and checks that the key in it is the owner's.
pub(crate) fn open_seed(
    sealed: &Sealed,
    owner: Owner<'_>,
    masters: &MasterKeys,
) -> Result<Zeroizing<[u8; 32]>, OpenError> {
    let master = masters.find(sealed.master_key);
    let master = master.ok_or(OpenError::NoMasterKey { master_key: sealed.master_key })?;
    let mut buffer = Zeroizing::new(sealed.ciphertext);
    let cipher = XChaCha20Poly1305::new(master.bytes().into());
    let (nonce, tag) = (XNonce::from(sealed.nonce), Tag::from(sealed.tag));
    cipher
        .decrypt_inout_detached(&nonce, &associated_data(owner), buffer.as_mut_slice().into(), &tag)
        .map_err(|_| OpenError::Broken)?;
    Ok(buffer)
}

/// Opens a seal into a key that can sign.
pub(crate) fn open(sealed: &Sealed, owner: Owner<'_>, masters: &MasterKeys) -> Result<SigningKey, OpenError> {
    let key = SigningKey::from_seed(&*open_seed(sealed, owner, masters)?);
    if key.verifying_key().as_bytes() == owner.key { Ok(key) } else { Err(OpenError::OtherKey) }
}

/// Why a key cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealError {
    /// The caller's generator failed.
    Generator,
    /// The cipher refused, which it only does for messages of many gigabytes.
    Cipher,
}

/// Why a sealed key cannot be opened. The key is kept as it is in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It was sealed under a master key that was not given.
    #[error("sealed under master key {master_key}, which was not given")]
    NoMasterKey {
        /// The missing master key.
        master_key: MasterKeyId,
    },
    /// The seal is damaged, or was moved here from another tenant or key.
    #[error("the seal is broken, or of another tenant or key")]
    Broken,
    /// The seal holds another key than the one published.
    #[error("the sealed key is not the published key")]
    OtherKey,
}

/// INVARIANT: prefix-free, so that no two owners share it: lengths precede what varies in length.
fn associated_data(owner: Owner<'_>) -> Vec<u8> {
    let (tenant, key_id) = (owner.tenant.as_bytes(), owner.key_id.as_str().as_bytes());
    let mut data = Vec::with_capacity(DOMAIN.len() + 16 + tenant.len() + key_id.len() + 32);
    data.extend_from_slice(DOMAIN);
    for part in [tenant, key_id] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data.extend_from_slice(owner.key);
    data
}

const DOMAIN: &[u8] = b"freehold.keyring.signing-key.1\0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MasterKey, test_rng::TestRng};

    fn masters(seed: u64) -> MasterKeys {
        MasterKeys::new(MasterKey::generate(&mut TestRng::new(seed)).unwrap())
    }

    fn secret(version: &str) -> SecretKey {
        let seed = std::array::from_fn(|index| (index * index * 7 + version.len()) as u8);
        SecretKey::new(KeyId::ed25519(version).unwrap(), &seed).unwrap()
    }

    #[test]
    fn a_seal_opens_for_its_owner_only() {
        let (masters, secret, other) = (masters(1), secret("a"), secret("bb"));
        let tenant = ServerName::parse("example.org").unwrap();
        let stranger = ServerName::parse("example.com").unwrap();
        let sealed = seal(&secret, &tenant, &masters, &mut TestRng::new(2)).unwrap();
        let owner =
            Owner { tenant: &tenant, key_id: secret.key_id(), key: secret.verifying_key().as_bytes() };
        assert_eq!(*open_seed(&sealed, owner, &masters).unwrap(), *secret.seed());
        for wrong in [
            Owner { tenant: &stranger, ..owner },
            Owner { key_id: other.key_id(), ..owner },
            Owner { key: other.verifying_key().as_bytes(), ..owner },
        ] {
            assert_eq!(open_seed(&sealed, wrong, &masters).unwrap_err(), OpenError::Broken);
        }
    }

    #[test]
    fn a_changed_bit_breaks_the_seal() {
        let (masters, secret) = (masters(1), secret("a"));
        let tenant = ServerName::parse("example.org").unwrap();
        let sealed = seal(&secret, &tenant, &masters, &mut TestRng::new(2)).unwrap();
        let owner =
            Owner { tenant: &tenant, key_id: secret.key_id(), key: secret.verifying_key().as_bytes() };
        let flips: [fn(&mut Sealed); 3] = [
            |sealed| sealed.nonce[3] ^= 1,
            |sealed| sealed.ciphertext[31] ^= 128,
            |sealed| sealed.tag[0] ^= 2,
        ];
        for flip in flips {
            let mut changed = sealed.clone();
            flip(&mut changed);
            assert_eq!(open_seed(&changed, owner, &masters).unwrap_err(), OpenError::Broken);
        }
    }

    #[test]
    fn a_missing_master_key_is_named_and_a_previous_one_opens() {
        let (old, new) = (masters(1), masters(3));
        let secret = secret("a");
        let tenant = ServerName::parse("example.org").unwrap();
        let sealed = seal(&secret, &tenant, &old, &mut TestRng::new(2)).unwrap();
        let owner =
            Owner { tenant: &tenant, key_id: secret.key_id(), key: secret.verifying_key().as_bytes() };
        let master_key = old.current().id();
        assert_eq!(open_seed(&sealed, owner, &new).unwrap_err(), OpenError::NoMasterKey { master_key });
        let both = new.with_previous(MasterKey::from_bytes(old.current().bytes()).unwrap());
        assert!(open_seed(&sealed, owner, &both).is_ok());
    }
}
