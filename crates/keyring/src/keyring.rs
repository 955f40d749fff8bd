//! The signing keys of all tenants.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use freehold_signing::{KeyId, MalformedSignatures, Signature, Signer, SigningKey, VerifyingKey};
use ruma_common::{OwnedServerName, ServerName};
use thiserror::Error;

use crate::{
    MasterKeys, Purpose, RecordError, SealedStore,
    key_document::{self, KeyDocument, REMAINING_MIN_MS},
    open_tenants::{OpenTenant, OpenTenants},
    seal::OpenError,
    tenant_keys::{KeyPhase, TenantKey, TenantKeys},
};

/// The signing keys of many tenants, sealed in a [`SealedStore`] and opened on use.
///
/// Keys are added ([`create`](Self::create), [`rotate`](Self::rotate), [`import`](Self::import)) and
/// expire; none is ever deleted, renamed or replaced. A signature is only had through
/// [`signer`](Self::signer). All methods take `&self`; a keyring may be shared between threads.
///
/// If several processes share a store, one of them changes keys and the others call
/// [`forget_open`](Self::forget_open) afterwards.
pub struct Keyring<S> {
    pub(crate) store: S,
    pub(crate) masters: MasterKeys,
    pub(crate) settings: KeyringSettings,
    open: Mutex<OpenTenants>,
}

/// Bounds and times of a [`Keyring`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyringSettings {
    /// How many tenants lie open in memory at most; some 1 KB each.
    pub open_tenants_max: usize,
    /// For how long a key document is valid when it is made, in milliseconds. At least two hours
    /// are used: a document is served during the first half of its life.
    pub document_lifetime_ms: i64,
}

impl Default for KeyringSettings {
    /// 1,024 tenants; a day, as Synapse's `key_refresh_interval`.
    fn default() -> Self {
        Self { open_tenants_max: 1024, document_lifetime_ms: 24 * 60 * 60 * 1000 }
    }
}

impl<S: SealedStore> Keyring<S> {
    /// A keyring over a store.
    pub fn new(store: S, masters: MasterKeys, settings: KeyringSettings) -> Self {
        let open = Mutex::new(OpenTenants::new(settings.open_tenants_max));
        Self { store, masters, settings, open }
    }

    /// The power to sign for a tenant, for one purpose, with the key that signs at `now_ts`.
    ///
    /// # Errors
    ///
    /// [`SignerError::ForeignUser`] when the acting user is not one of the tenant;
    /// [`SignerError::NoTenant`] and [`SignerError::NoSigningKey`] when there is no key; the others
    /// when the stored record or the store is at fault.
    pub fn signer(
        &self,
        tenant: &ServerName,
        purpose: Purpose<'_>,
        now_ts: i64,
    ) -> Result<TenantSigner, SignerError<S::Error>> {
        purpose.check(tenant)?;
        let open = self.open(tenant)?;
        let index = open.record.signing_index(now_ts).ok_or(SignerError::NoSigningKey)?;
        let key = open.signing_key(index, &self.masters)?.ok_or(SignerError::NoSigningKey)?;
        let key_id = open.record.keys.get(index).ok_or(SignerError::NoSigningKey)?.key_id.clone();
        Ok(TenantSigner { open, key_id, key })
    }

    /// The signed document of all keys of a tenant, to answer `GET /_matrix/key/v2/server`.
    ///
    /// The same document is returned until it must be renewed, and it always has an hour left.
    ///
    /// # Errors
    ///
    /// As [`signer`](Self::signer); [`SignerError::NoSigningKey`] when all keys have expired.
    pub fn key_document(
        &self,
        tenant: &ServerName,
        now_ts: i64,
    ) -> Result<Arc<KeyDocument>, SignerError<S::Error>> {
        let open = self.open(tenant)?;
        let lifetime_ms = self.settings.document_lifetime_ms.max(2 * REMAINING_MIN_MS);
        let mut cached = open.document();
        if let Some(document) = cached.as_ref().filter(|document| document.is_fresh(now_ts, lifetime_ms)) {
            return Ok(document.clone());
        }
        if open.record.signing_index(now_ts).is_none() {
            return Err(SignerError::NoSigningKey);
        }
        let document = Arc::new(key_document::make(&open, &self.masters, now_ts, lifetime_ms)?);
        *cached = Some(document.clone());
        Ok(document)
    }

    /// The keys of a tenant in the order they came; empty when there are none.
    ///
    /// # Errors
    ///
    /// When the stored record or the store is at fault.
    pub fn keys(&self, tenant: &ServerName, now_ts: i64) -> Result<Vec<KeyInfo>, SignerError<S::Error>> {
        let open = match self.open(tenant) {
            Err(SignerError::NoTenant) => return Ok(Vec::new()),
            other => other?,
        };
        let record = &open.record;
        let phases = (0..record.keys.len()).filter_map(|index| record.phase(index, now_ts));
        let keys = record.keys.iter().zip(phases);
        keys.map(|(key, phase)| Ok(KeyInfo::of(key, key.verifying_key()?, phase))).collect()
    }

    /// The key of a tenant that has this identifier, if it has one.
    ///
    /// # Errors
    ///
    /// When the stored record or the store is at fault.
    pub fn key(
        &self,
        tenant: &ServerName,
        key_id: &KeyId,
        now_ts: i64,
    ) -> Result<Option<KeyInfo>, SignerError<S::Error>> {
        let open = match self.open(tenant) {
            Err(SignerError::NoTenant) => return Ok(None),
            other => other?,
        };
        let (keys, is_it) = (&open.record.keys, |key: &TenantKey| key.key_id == *key_id);
        let Some(index) = keys.iter().position(is_it) else { return Ok(None) };
        let found = keys.get(index).zip(open.verifying_key(index)?).zip(open.record.phase(index, now_ts));
        Ok(found.map(|((key, public), phase)| KeyInfo::of(key, public.clone(), phase)))
    }

    /// Wipes the open keys of a tenant from memory; the next use loads them again.
    pub fn forget_open(&self, tenant: &ServerName) {
        self.open_tenants().changed(tenant);
    }

    /// How many tenants lie open in memory.
    pub fn open_tenant_count(&self) -> usize {
        self.open_tenants().len()
    }

    pub(crate) fn open_tenants(&self) -> MutexGuard<'_, OpenTenants> {
        // Every step on the map leaves it usable; the worst a panic can do is a key loaded twice.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, tenant: &ServerName) -> Result<Arc<OpenTenant>, SignerError<S::Error>> {
        let changes = {
            let mut tenants = self.open_tenants();
            if let Some(open) = tenants.get(tenant) {
                return Ok(open);
            }
            tenants.changes()
        };
        let record = self.store.load(tenant).map_err(SignerError::Store)?.ok_or(SignerError::NoTenant)?;
        let open = Arc::new(OpenTenant::new(TenantKeys::decode(&record, tenant)?));
        self.open_tenants().insert(open.clone(), changes);
        Ok(open)
    }
}

impl<S> fmt::Debug for Keyring<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(..)")
    }
}

/// What is known to everybody about a key of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its identifier.
    pub key_id: KeyId,
    /// Its public half.
    pub key: VerifyingKey,
    /// What it is good for at the time asked about.
    pub phase: KeyPhase,
    /// When it begins to sign, in Unix milliseconds.
    pub signs_from_ts: i64,
    /// When it becomes an old key, in Unix milliseconds, if that is settled.
    pub expired_ts: Option<i64>,
    /// Whether the secret half is here; not so for old keys that came without.
    pub has_secret: bool,
}

impl KeyInfo {
    fn of(key: &TenantKey, public: VerifyingKey, phase: KeyPhase) -> Self {
        KeyInfo {
            key_id: key.key_id.clone(),
            key: public,
            phase,
            signs_from_ts: key.signs_from_ts,
            expired_ts: key.expired_ts,
            has_secret: key.sealed.is_some(),
        }
    }
}

/// The power to sign for one tenant with one key, for the purpose it was asked for.
///
/// Take one per document and drop it; it holds the key open. It cannot be cloned or stored in
/// place of a key, and it shows nothing of it.
pub struct TenantSigner {
    open: Arc<OpenTenant>,
    key_id: KeyId,
    key: Arc<SigningKey>,
}

impl Signer for TenantSigner {
    fn server_name(&self) -> &ServerName {
        &self.open.record.tenant
    }

    fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    fn verifying_key(&self) -> &VerifyingKey {
        self.key.verifying_key()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        self.key.sign(message)
    }
}

impl fmt::Debug for TenantSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantSigner({} {})", self.server_name(), self.key_id())
    }
}

/// Why there is no signer, or no key document.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignerError<E> {
    /// The caller is at fault: the acting user is not one of the tenant.
    #[error("the acting user belongs to `{server}`, not to the tenant")]
    ForeignUser {
        /// The server of the user.
        server: OwnedServerName,
    },
    /// The caller is at fault: a request of the tenant to itself has nobody to convince.
    #[error("the tenant does not send requests to itself")]
    ToItself,
    /// The tenant has no keys at all.
    #[error("no such tenant")]
    NoTenant,
    /// No key of the tenant signs at this time.
    #[error("no key of the tenant is in use")]
    NoSigningKey,
    /// The stored record cannot be read; it is kept as it is.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The key cannot be unsealed; it is kept as it is.
    #[error("the key cannot be opened: {0}")]
    Seal(#[from] OpenError),
    /// The document does not take a signature; does not happen.
    #[error(transparent)]
    Document(#[from] MalformedSignatures),
    /// The store failed.
    #[error("the store of sealed keys failed: {0}")]
    Store(E),
}
