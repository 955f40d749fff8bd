//! Signing keys of many tenants, and the keys of the servers they meet.

mod change;
pub mod formats;
mod key_document;
mod key_log;
mod keyring;
mod master_key;
mod open_tenants;
pub mod predictable;
mod purpose;
mod seal;
mod sealed_store;
mod secret_key;
mod signed_json;
mod tenant_keys;
#[cfg(test)]
mod test_rng;

pub use change::{ChangeError, Export, GenerateError, Rotation};
pub use formats::synapse_config::OldKey;
pub use key_document::{KeyDocument, REMAINING_MIN_MS};
pub use key_log::{Blob, KeyLog, KeyLogError, OutOfRange};
pub use keyring::{KeyInfo, Keyring, KeyringSettings, SignerError, TenantSigner};
pub use master_key::{MasterKey, MasterKeyError, MasterKeyId, MasterKeys};
pub use predictable::Predictable;
pub use purpose::{Purpose, WrongPurpose};
pub use seal::{OpenError, SealError};
pub use sealed_store::{Replaced, SealedStore};
pub use secret_key::{SecretKey, SecretKeyError};
pub use tenant_keys::{KeyPhase, RecordError, TENANT_KEYS_MAX};
