//! The files in which other servers keep their signing keys.
//!
//! | server | what | module |
//! |---|---|---|
//! | Synapse | file of `ed25519 <version> <base64 seed>` lines | [`synapse`] |
//! | Synapse | `old_signing_keys` of the configuration | [`synapse_config`] |
//! | Dendrite | `old_private_keys` of the configuration | [`dendrite_config`] |
//! | Dendrite, matrix-media-repo | PEM with a `Key-ID` header | [`pem`] |
//! | Conduit, conduwuit, continuwuity, tuwunel | `<version> 0xFF <PKCS#8>` in the database | [`conduit`] |
//!
//! Reading is strict and has no side effects. Whatever is wrong comes back as a typed error that
//! says where, and never holds a part of the secret; nothing is repaired, replaced or deleted. One
//! of the peers deletes a key pair it cannot parse and makes a new one, which orphans every event
//! the server ever signed: a caller that gets an error here stops and asks its operator.

pub mod conduit;
pub mod dendrite_config;
mod encoding;
mod old_keys;
pub mod pem;
pub mod synapse;
pub mod synapse_config;

pub(crate) use encoding::encode_unpadded;
pub use old_keys::{OldKeyProblem, OldKeysError};
