//! Signing keys of many tenants, and the keys of the servers they meet.
//!
//! # Ours
//!
//! A [`Keyring`] holds the signing keys of any number of tenants. They lie sealed
//! (XChaCha20-Poly1305 under a [`MasterKey`], bound to tenant and key) in a [`SealedStore`] and are
//! opened on use; a tenant that is not in use takes no memory here, and some 30 bytes of index in
//! the ready-made store, [`KeyLog`]. The keyring makes keys from the caller's generator, rotates them
//! with overlap, publishes them in the signed document of `/_matrix/key/v2/server`, and takes them
//! from and gives them to other servers in [their formats](formats).
//!
//! * **A signature is only had for a [`Purpose`]**, of one tenant, for a user of that tenant.
//! * **No key is ever deleted, replaced or renamed**, not even one that cannot be read. A record
//!   that does not parse is an error for the operator to see.
//! * **Keys others can guess do not come in**: see [`Predictable`].
//! * **No two tenants sign with the same key**: a key that another tenant has is refused, without
//!   saying whose it is.
//! * **What is true when follows from the time**: a rotation is written down once and takes place by
//!   itself.
//!
//! # Theirs
//!
//! [`RemoteKeys`] is a cache of other servers' keys and the plan of how to fill it, as a machine
//! that is polled: it says what to load, fetch and save, takes the answers, checks them, and wakes
//! the verifications that wait. It is a [`KeySource`](freehold_signing::KeySource). The first key
//! seen under an identifier stays; validity is believed for 7 days at most; documents are renewed
//! after half of their life; who does not answer is asked ever more rarely; everything is bounded
//! by a [`FetchPolicy`]. The same machine serves when we are the notary: [`NotaryQuery`].
//!
//! # What it deliberately does not do
//!
//! No I/O, no clock, no randomness of its own, no HTTP: bytes, times and generators are handed in.
//! It does not decide whether a key is good for an event or a request; that is `freehold-signing`'s.
//!
//! # Where to start
//!
//! With [`Keyring`] and [`RemoteKeys`].
//!
//! ```
//! use freehold_keyring::{KeyLog, Keyring, KeyringSettings, MasterKey, MasterKeys, Purpose, Rotation};
//! use freehold_signing::Signer;
//! use ruma_common::{server_name, user_id};
//! # use std::convert::Infallible;
//! # struct OsRng(u8);
//! # impl rand_core::TryRng for OsRng {
//! #     type Error = Infallible;
//! #     fn try_next_u32(&mut self) -> Result<u32, Infallible> { Ok(4) }
//! #     fn try_next_u64(&mut self) -> Result<u64, Infallible> { Ok(4) }
//! #     fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
//! #         for byte in bytes {
//! #             self.0 = self.0.wrapping_mul(77).wrapping_add(29) ^ (self.0 >> 3);
//! #             *byte = self.0;
//! #         }
//! #         Ok(())
//! #     }
//! # }
//! # impl rand_core::TryCryptoRng for OsRng {}
//! # let mut rng = OsRng(7);
//! # let now_ts = 1_800_000_000_000;
//! // The binary hands in the operating system's generator, and the master key from a file.
//! let master = MasterKey::parse(b"6wLwrqFvdT2q3PGRYQ9p1T7DLM2iTVyGdDzqbBxIcgY\n")?;
//! let store = KeyLog::open(Vec::new())?;
//! let keyring = Keyring::new(store, MasterKeys::new(master), KeyringSettings::default());
//!
//! let tenant = server_name!("example.org");
//! keyring.create(tenant, now_ts, &mut rng)?;
//! let sender = user_id!("@alice:example.org");
//! let signer = keyring.signer(tenant, Purpose::Event { sender }, now_ts)?;
//! let signature = signer.sign(b"the bytes of an event");
//!
//! // An hour from now another key signs; a day later the first one is published as an old key.
//! keyring.rotate(tenant, Rotation::default(), now_ts, &mut rng)?;
//! let document = keyring.key_document(tenant, now_ts)?;
//! assert!(document.valid_until_ts > now_ts);
//! // The keys of one tenant do not sign for the users of another.
//! let stranger = user_id!("@bob:example.com");
//! assert!(keyring.signer(tenant, Purpose::Event { sender: stranger }, now_ts).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod change;
pub mod formats;
mod key_document;
mod key_filter;
mod key_log;
mod keyring;
mod master_key;
mod old_key;
mod open_tenants;
mod predictable;
mod purpose;
mod remote;
mod seal;
mod sealed_store;
mod secret_key;
mod tenant_keys;
#[cfg(test)]
mod test_rng;

/// The traits of generators, in the version the keyring takes them in.
pub use rand_core;
/// The identifiers, in the version in which the keyring takes and gives them.
pub use ruma_common;

pub use change::{ChangeError, Export, Rotation};
pub use key_document::KeyDocument;
pub use key_log::{Blob, KeyLog, KeyLogError, OutOfRange};
pub use keyring::{KeyInfo, Keyring, KeyringSettings, SignerError, TenantSigner};
pub use master_key::{MasterKey, MasterKeyError, MasterKeyId, MasterKeys};
pub use old_key::OldKey;
pub use predictable::Predictable;
pub use purpose::Purpose;
pub use remote::{
    Action, DocumentError, FetchFailure, FetchId, FetchPolicy, FetchRequest, Finding, KeyIdReuse, Needed,
    Notary, NotaryQuery, NotaryQueryError, Outcome, Refusal, RemoteKeys, Route, ServerKeys, Usage, Via,
    WaitId, Want, notary_answer, recorded_keys,
};
pub use seal::OpenError;
pub use sealed_store::{Replaced, SealedStore};
pub use secret_key::{SecretKey, SecretKeyError};
pub use tenant_keys::{KeyPhase, RecordError};
