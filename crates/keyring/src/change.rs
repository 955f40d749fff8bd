//! Changes to the keys of a tenant: create, rotate, import, export, expire, reseal.

use freehold_signing::KeyId;
use rand_core::TryCryptoRng;
use ruma_common::ServerName;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    Keyring, OldKey, Predictable, RecordError, Replaced, SealedStore, SecretKey,
    formats::encode_unpadded,
    keyring::SignerError,
    predictable,
    seal::{self, OpenError, Owner, SealError},
    tenant_keys::{TENANT_KEYS_MAX, TenantKey, TenantKeys},
};

/// How a new key takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// For how long the new key is published before it signs, in milliseconds, so that others have
    /// it when they need it.
    pub announce_ms: i64,
    /// For how long the keys before it stay under `verify_keys` after that, in milliseconds, so
    /// that requests they signed are still accepted.
    pub overlap_ms: i64,
}

impl Default for Rotation {
    /// Announced for an hour, overlapping for a day.
    fn default() -> Self {
        Self { announce_ms: 60 * 60 * 1000, overlap_ms: 24 * 60 * 60 * 1000 }
    }
}

impl Rotation {
    /// At once and without overlap, for a key that has got out.
    pub const IMMEDIATE: Self = Self { announce_ms: 0, overlap_ms: 0 };
}

impl<S: SealedStore> Keyring<S> {
    /// Makes the first key of a tenant, signing from `now_ts` on.
    ///
    /// `rng` is the operating system's generator, handed in by the binary.
    ///
    /// # Errors
    ///
    /// [`ChangeError::HasKeys`] when the tenant has keys; and those of the generator and the store.
    pub fn create(
        &self,
        tenant: &ServerName,
        now_ts: i64,
        rng: &mut impl TryCryptoRng,
    ) -> Result<KeyId, ChangeError<S::Error>> {
        let secret = generate(rng)?;
        self.change(tenant, |record| {
            if !record.keys.is_empty() {
                return Err(ChangeError::HasKeys);
            }
            let sealed = seal::seal(&secret, tenant, &self.masters, rng)?;
            add(record, fresh(&secret, now_ts, sealed))
        })?;
        Ok(secret.key_id().clone())
    }

    /// Makes a new key that takes over from those in use. No further step is needed: when the time
    /// comes, the new key signs, and the others become old keys.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoKeys`] when the tenant has none yet, [`ChangeError::NegativeTime`] for
    /// negative durations; and those of the generator and the store.
    pub fn rotate(
        &self,
        tenant: &ServerName,
        rotation: Rotation,
        now_ts: i64,
        rng: &mut impl TryCryptoRng,
    ) -> Result<KeyId, ChangeError<S::Error>> {
        if rotation.announce_ms < 0 || rotation.overlap_ms < 0 {
            return Err(ChangeError::NegativeTime);
        }
        let secret = generate(rng)?;
        let signs_from_ts = now_ts.saturating_add(rotation.announce_ms);
        let expired_ts = signs_from_ts.saturating_add(rotation.overlap_ms);
        self.change(tenant, |record| {
            if record.keys.is_empty() {
                return Err(ChangeError::NoKeys);
            }
            for key in &mut record.keys {
                key.expired_ts = Some(key.expired_ts.unwrap_or(expired_ts).min(expired_ts));
            }
            let sealed = seal::seal(&secret, tenant, &self.masters, rng)?;
            add(record, fresh(&secret, signs_from_ts, sealed))
        })?;
        Ok(secret.key_id().clone())
    }

    /// Takes over the keys in use of a server that moves in, signing from `now_ts` on.
    ///
    /// The first one signs, the others stay published. A key that is there already is left alone,
    /// so an import may be repeated. All keys come in, or none does.
    ///
    /// # Errors
    ///
    /// [`ChangeError::KeyIdReused`] and [`ChangeError::KeyRenamed`] when an identifier stands for
    /// another key, or the key has another identifier; [`ChangeError::Predictable`] for a key others
    /// can guess: such a server needs a new key, and the old one must not be published;
    /// [`ChangeError::KeyTaken`] for a key with which another tenant signs: all but one need a new
    /// key, and publish this one as old ([`import_old`](Self::import_old)).
    pub fn import(
        &self,
        tenant: &ServerName,
        secrets: &[SecretKey],
        now_ts: i64,
        rng: &mut impl TryCryptoRng,
    ) -> Result<(), ChangeError<S::Error>> {
        for secret in secrets {
            let refused = |reason| ChangeError::Predictable { key_id: secret.key_id().clone(), reason };
            predictable::check_public_key(secret.verifying_key().as_bytes()).map_err(refused)?;
            predictable::check_secret(secret.seed()).map_err(refused)?;
        }
        self.change(tenant, |record| {
            secrets.iter().try_for_each(|secret| {
                if is_there(record, secret.key_id(), secret.verifying_key().as_bytes())? {
                    return restore_secret(record, secret, |secret| {
                        Ok(seal::seal(secret, tenant, &self.masters, rng)?)
                    });
                }
                let sealed = seal::seal(secret, tenant, &self.masters, rng)?;
                add(record, fresh(secret, now_ts, sealed))
            })
        })
    }

    /// Takes over public keys that a server no longer signs with, to publish them for ever.
    ///
    /// # Errors
    ///
    /// As [`import`](Self::import), and [`ChangeError::InUse`] for a key that is in use here.
    pub fn import_old(&self, tenant: &ServerName, keys: &[OldKey]) -> Result<(), ChangeError<S::Error>> {
        for key in keys {
            predictable::check_public_key(key.key.as_bytes())
                .map_err(|reason| ChangeError::Predictable { key_id: key.key_id.clone(), reason })?;
        }
        self.change(tenant, |record| keys.iter().try_for_each(|key| add_old(record, key)))
    }

    /// Stops the use of a key at `expired_ts`, or earlier if that was settled before.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoSuchKey`], and [`ChangeError::LastKey`] when nothing would be left to sign
    /// with from then on: rotate first.
    pub fn expire(
        &self,
        tenant: &ServerName,
        key_id: &KeyId,
        expired_ts: i64,
    ) -> Result<(), ChangeError<S::Error>> {
        self.change(tenant, |record| {
            let key = record.keys.iter_mut().find(|key| key.key_id == *key_id);
            let key = key.ok_or_else(|| ChangeError::NoSuchKey { key_id: key_id.clone() })?;
            key.expired_ts = Some(key.expired_ts.unwrap_or(expired_ts).min(expired_ts));
            let remains = |key: &TenantKey| key.sealed.is_some() && !key.is_expired(expired_ts);
            match record.keys.iter().any(remains) {
                true => Ok(()),
                false => Err(ChangeError::LastKey { key_id: key_id.clone() }),
            }
        })
    }

    /// All keys of a tenant that leaves, secrets included, and the old ones of which there is only
    /// the public half. The key that signs comes first.
    ///
    /// # Errors
    ///
    /// [`SignerError`], when there is no such tenant or a key does not open.
    pub fn export(&self, tenant: &ServerName, now_ts: i64) -> Result<Export, SignerError<S::Error>> {
        let bytes = self.store.load(tenant).map_err(SignerError::Store)?.ok_or(SignerError::NoTenant)?;
        let record = TenantKeys::decode(&bytes, tenant)?;
        let mut export = Export { secrets: Vec::new(), old: Vec::new() };
        for key in &record.keys {
            let expired_ts = key.expired_ts.filter(|expired_ts| *expired_ts <= now_ts);
            if let Some(expired_ts) = expired_ts {
                export.old.push(OldKey { key_id: key.key_id.clone(), key: key.verifying_key()?, expired_ts });
            }
            if let Some(secret) = self.unseal(tenant, key)? {
                export.secrets.push(secret);
            }
        }
        if let Some(signing) = record.signing_index(now_ts).and_then(|index| record.keys.get(index)) {
            // A stable sort: `false` comes first.
            export.secrets.sort_by_key(|secret| *secret.key_id() != signing.key_id);
        }
        Ok(export)
    }

    /// Seals everything of a tenant that lies under a previous master key under the current one.
    /// Returns how many keys that were.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Seal`] when a key does not open; then nothing is changed.
    pub fn reseal(
        &self,
        tenant: &ServerName,
        rng: &mut impl TryCryptoRng,
    ) -> Result<usize, ChangeError<S::Error>> {
        let current = self.masters.current().id();
        let mut count = 0;
        self.change(tenant, |record| {
            count = 0;
            for key in &mut record.keys {
                if key.sealed.as_ref().is_none_or(|sealed| sealed.master_key == current) {
                    continue;
                }
                if let Some(secret) = self.unseal(tenant, key)? {
                    key.sealed = Some(seal::seal(&secret, tenant, &self.masters, rng)?);
                    count += 1;
                }
            }
            Ok(())
        })?;
        Ok(count)
    }

    fn unseal(&self, tenant: &ServerName, key: &TenantKey) -> Result<Option<SecretKey>, OpenError> {
        let Some(sealed) = &key.sealed else { return Ok(None) };
        let owner = Owner { tenant, key_id: &key.key_id, key: &key.key };
        let seed = seal::open_seed(sealed, owner, &self.masters)?;
        let secret = SecretKey::new(key.key_id.clone(), &seed).map_err(|_| OpenError::OtherKey)?;
        if *secret.verifying_key().as_bytes() == key.key {
            Ok(Some(secret))
        } else {
            Err(OpenError::OtherKey)
        }
    }

    /// Loads, edits and stores a record; starts over when somebody else was faster.
    fn change(
        &self,
        tenant: &ServerName,
        mut edit: impl FnMut(&mut TenantKeys) -> Result<(), ChangeError<S::Error>>,
    ) -> Result<(), ChangeError<S::Error>> {
        for _ in 0..CHANGE_ATTEMPTS {
            let before = self.store.load(tenant).map_err(ChangeError::Store)?;
            let mut record = match &before {
                Some(bytes) => TenantKeys::decode(bytes, tenant)?,
                None => TenantKeys::new(tenant),
            };
            let held = record.held();
            edit(&mut record)?;
            let next = record.encode();
            if before.as_ref() == Some(&next) || (before.is_none() && record.keys.is_empty()) {
                return Ok(());
            }
            let new_keys: Vec<_> = record.held().into_iter().filter(|key| !held.contains(key)).collect();
            let replaced = self.store.replace(tenant, before.as_deref(), &next, &new_keys);
            match replaced.map_err(ChangeError::Store)? {
                Replaced::Done => {
                    self.open_tenants().changed(tenant);
                    return Ok(());
                }
                Replaced::Stale => {}
                Replaced::KeyTaken { key } => {
                    return Err(ChangeError::KeyTaken { key: encode_unpadded(&key).to_string() });
                }
            }
        }
        Err(ChangeError::Contended)
    }
}

/// The keys of a tenant that leaves.
#[derive(Debug)]
pub struct Export {
    /// Every key of which the secret is here, also those no longer in use; the one that signs
    /// first.
    pub secrets: Vec<SecretKey>,
    /// The keys no longer in use, as they are published.
    pub old: Vec<OldKey>,
}

/// Why the keys of a tenant were not changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChangeError<E> {
    /// The tenant has keys; use [`Keyring::rotate`].
    #[error("the tenant has keys already")]
    HasKeys,
    /// The tenant has no keys; use [`Keyring::create`] or [`Keyring::import`].
    #[error("the tenant has no keys")]
    NoKeys,
    /// There is no such key.
    #[error("the tenant has no key `{key_id}`")]
    NoSuchKey {
        /// The identifier asked for.
        key_id: KeyId,
    },
    /// The identifier stands for another key. Events signed with either could no longer be told
    /// apart ([synapse#3121](https://github.com/matrix-org/synapse/issues/3121)).
    #[error("`{key_id}` is the id of another key of the tenant")]
    KeyIdReused {
        /// The identifier.
        key_id: KeyId,
    },
    /// The key has another identifier already.
    #[error("the key called `{key_id}` is known as `{known_as}`")]
    KeyRenamed {
        /// The identifier it was to get.
        key_id: KeyId,
        /// The identifier it has.
        known_as: KeyId,
    },
    /// The key can be guessed.
    #[error("the key `{key_id}` can be guessed: {reason}")]
    Predictable {
        /// The identifier of the key.
        key_id: KeyId,
        /// Why.
        reason: Predictable,
    },
    /// Another tenant signs with the key. Whoever leaves with it could go on signing for the other;
    /// Dendrite's virtual hosts all sign with the key of the first
    /// ([`setup/config/config.go`](https://github.com/matrix-org/dendrite/blob/06c319d580598479ab812b82e68b4c2d314164df/setup/config/config.go)).
    /// Who the other is, is not said.
    #[error("another tenant signs with the key `{key}`")]
    KeyTaken {
        /// Its public half, in unpadded base64.
        key: String,
    },
    /// A key said to be old is in use here.
    #[error("the key `{key_id}` is in use; expire it instead")]
    InUse {
        /// The identifier of the key.
        key_id: KeyId,
    },
    /// Nothing would be left to sign with.
    #[error("`{key_id}` is the last key of the tenant")]
    LastKey {
        /// The identifier of the key.
        key_id: KeyId,
    },
    /// Too many keys to publish.
    #[error("a tenant has at most {TENANT_KEYS_MAX} keys")]
    TooManyKeys,
    /// A duration is negative.
    #[error("a duration is negative")]
    NegativeTime,
    /// The caller's generator failed.
    #[error("the random number generator failed")]
    Generator,
    /// The caller's generator visibly does not work.
    #[error("the random number generator does not work: {0}")]
    BadGenerator(Predictable),
    /// The cipher refused to seal a key; does not happen.
    #[error("the cipher failed")]
    Cipher,
    /// A stored key cannot be opened; it is kept as it is.
    #[error("a key cannot be opened: {0}")]
    Seal(#[from] OpenError),
    /// The stored record cannot be read; it is kept as it is.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The record kept changing under our hands.
    #[error("the keys of the tenant are being changed by somebody else")]
    Contended,
    /// The store failed.
    #[error("the store of sealed keys failed: {0}")]
    Store(E),
}

impl<E> From<SealError> for ChangeError<E> {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Generator => Self::Generator,
            SealError::Cipher => Self::Cipher,
        }
    }
}

const CHANGE_ATTEMPTS: usize = 8;

/// Makes a key and names it after itself.
///
/// The version is `k` and 16 hexadecimal digits of the public key, so no two keys ever meet under
/// one name. It does not begin with a digit: Synapse has deprecated numeric versions.
fn generate<E>(rng: &mut impl TryCryptoRng) -> Result<SecretKey, ChangeError<E>> {
    let mut seed = Zeroizing::new([0; 32]);
    rng.try_fill_bytes(seed.as_mut_slice()).map_err(|_| ChangeError::Generator)?;
    predictable::check_secret(&seed).map_err(ChangeError::BadGenerator)?;
    let public = freehold_signing::SigningKey::from_seed(&seed).verifying_key().clone();
    predictable::check_public_key(public.as_bytes()).map_err(ChangeError::BadGenerator)?;
    let digits: String = public.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // Neither fails for a name made of hexadecimal digits.
    let key_id = KeyId::ed25519(&format!("k{digits}")).map_err(|_| ChangeError::Generator)?;
    SecretKey::new(key_id, &seed).map_err(|_| ChangeError::Generator)
}

fn fresh(secret: &SecretKey, signs_from_ts: i64, sealed: seal::Sealed) -> TenantKey {
    TenantKey {
        key_id: secret.key_id().clone(),
        key: *secret.verifying_key().as_bytes(),
        signs_from_ts,
        expired_ts: None,
        sealed: Some(sealed),
    }
}

/// Whether the record has the key. One identifier, one key; one key, one identifier.
fn is_there<E>(record: &TenantKeys, key_id: &KeyId, key: &[u8; 32]) -> Result<bool, ChangeError<E>> {
    match record.find(key_id) {
        Some(known) if known.key == *key => return Ok(true),
        Some(_) => return Err(ChangeError::KeyIdReused { key_id: key_id.clone() }),
        None => {}
    }
    match record.keys.iter().find(|known| known.key == *key) {
        Some(known) => {
            let known_as = known.key_id.clone();
            Err(ChangeError::KeyRenamed { key_id: key_id.clone(), known_as })
        }
        None => Ok(false),
    }
}

fn add<E>(record: &mut TenantKeys, key: TenantKey) -> Result<(), ChangeError<E>> {
    if is_there(record, &key.key_id, &key.key)? {
        return Ok(());
    }
    if record.keys.len() >= TENANT_KEYS_MAX {
        return Err(ChangeError::TooManyKeys);
    }
    record.keys.push(key);
    Ok(())
}

fn add_old<E>(record: &mut TenantKeys, old: &OldKey) -> Result<(), ChangeError<E>> {
    if is_there(record, &old.key_id, old.key.as_bytes())? {
        return match record.find(&old.key_id).and_then(|known| known.expired_ts) {
            Some(_) => Ok(()),
            None => Err(ChangeError::InUse { key_id: old.key_id.clone() }),
        };
    }
    add(
        record,
        TenantKey {
            key_id: old.key_id.clone(),
            key: *old.key.as_bytes(),
            signs_from_ts: i64::MIN,
            expired_ts: Some(old.expired_ts),
            sealed: None,
        },
    )
}

/// Gives an old key of which only the public half was known its secret back. It stays old.
fn restore_secret<E>(
    record: &mut TenantKeys,
    secret: &SecretKey,
    mut seal: impl FnMut(&SecretKey) -> Result<seal::Sealed, ChangeError<E>>,
) -> Result<(), ChangeError<E>> {
    match record.keys.iter_mut().find(|key| key.key_id == *secret.key_id()) {
        Some(key) if key.sealed.is_none() => {
            key.sealed = Some(seal(secret)?);
            Ok(())
        }
        _ => Ok(()),
    }
}
