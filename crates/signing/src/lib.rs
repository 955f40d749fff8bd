//! Signatures on Matrix JSON, events and federation requests.
//!
//! What it does:
//!
//! - [`sign_event`] signs an event that was built here, [`verify_event`] checks that everybody who
//!   must sign an event has signed it, with keys that were valid, and hands out a [`SignedPdu`].
//!   [`countersign_invite`] and [`countersign_join`] are the two cases in which an event of another
//!   server is signed.
//! - [`sign_request`] and [`verify_request`] authenticate federation requests by the [`XMatrix`]
//!   header, with the destination.
//! - [`sign_json`] and [`verify_json`] do the same for any other document.
//! - [`verify_policy_signature`] and [`verify_third_party_invite`] check signatures whose keys are
//!   in the state of a room.
//!
//! What it deliberately does not do: fetch, cache or store keys, tell the time, sign templates, or
//! verify in batches. Keys come from a [`KeySource`] and signatures from a [`Signer`], both of
//! which the keyring crate implements; secret keys are never handed out.
//!
//! # Start here
//!
//! [`Signer`], in whose name is signed, and [`KeySource`], whose signatures are known.
//!
//! ```
//! use freehold_event::{Pdu, ProtoEvent, RoomVersion};
//! use freehold_signing::{
//!     KeyId, KeySource, KeyValidity, PublishedKey, ServerSigner, SigningKey, VerifyingKey,
//!     sign_event, verify_event,
//! };
//! use ruma_common::{ServerName, owned_server_name, owned_user_id, room_id};
//!
//! /// The one key this example knows.
//! struct OneKey(VerifyingKey);
//!
//! impl KeySource for OneKey {
//!     fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
//!         let validity = KeyValidity::Current { valid_until_ts: 1_800_000_000_000 };
//!         let known = server == "example.org" && key_id.as_str() == "ed25519:a_1";
//!         known.then_some(PublishedKey { key: &self.0, validity })
//!     }
//! }
//!
//! let key = SigningKey::from_seed(&[7; 32]); // from the operating system's generator, in earnest
//! let keys = OneKey(key.verifying_key().clone());
//! let signer = ServerSigner::new(owned_server_name!("example.org"), KeyId::ed25519("a_1")?, key);
//!
//! let mut new = ProtoEvent::new(owned_user_id!("@al:example.org"), "m.room.message");
//! new.room_id = Some(room_id!("!room:example.org").to_owned());
//! new.origin_server_ts = 1_700_000_000_000;
//! let signed = sign_event(new.build(RoomVersion::V11)?, &signer)?;
//!
//! // Sent, received, and checked in the order of the specification's checks on receipt.
//! let bytes = signed.pdu().canonical_json().as_bytes();
//! let received = Pdu::parse(bytes, RoomVersion::V11)?.check_content_hash();
//! let verified = verify_event(received, &keys, 1_700_000_001_000)?;
//! assert_eq!(Some(verified), signed.complete());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The verdict on odd signatures
//!
//! Two servers that differ over one signature split a room, so what is a signature is what the
//! reference homeserver takes for one, which is what libsodium does: one signature at a time,
//! without the cofactor, with
//!
//! - a key that is canonically encoded, on the curve and not of small order (checked once, by
//!   [`VerifyingKey::from_bytes`]);
//! - S below the group order;
//! - R not of small order, and equal to `S·B − H(R, A, M)·A` byte for byte. An R that is not
//!   canonically encoded is thereby refused.
//!
//! Keys and R with a component of small order are accepted when that equation holds. A table of more
//! than 600 cases holds this crate to the verdicts of libsodium 1.0.16, 1.0.18 and 1.0.20, as bundled with
//! PyNaCl 1.3 to 1.6.2, which all agree. Releases of libsodium up to 1.0.22 verify without the
//! cofactor. Its unreleased development branch multiplies by the cofactor since November 2022, so
//! it accepts more: exactly the signatures that are right up to a component of small order. The
//! releases are followed here. Batch verification would accept those as well, or by chance, and
//! is not offered: [`which_hold`] computes the equation of each signature.
//!
//! # Where this differs from others
//!
//! - A key known to be old is no good for events after its `expired_ts` in every room version, as
//!   the specification says; Synapse ignores that before room version 5.
//! - `join_authorised_via_users_server` asks for the signature of that user's server in every
//!   membership, as the specification says; Synapse asks in joins only.
//! - Base64 is read in either alphabet, with or without padding, and with any unused last bits, as
//!   Synapse and ruma do. Unlike Synapse, characters of neither alphabet are not skipped.

mod comb;
mod countersign;
mod encoding;
mod entry;
mod equation;
mod error;
mod event;
mod header_parameters;
mod json;
mod key_id;
mod key_source;
mod prepared_keys;
mod proven;
mod request;
mod required;
mod several;
mod sign_event;
mod signature;
mod signer;
mod signing_key;
mod third_party_invite;
mod verifying_key;
mod x_matrix;

/// The identifiers, in the version in which this crate takes and gives them.
pub use ruma_common;

pub use countersign::{CountersignError, countersign_invite, countersign_join};
pub use equation::{Claim, which_hold};
pub use error::SignatureError;
pub use event::{POLICY_SERVER_KEY_ID, SignedPdu, signature_on, verify_event, verify_policy_signature};
pub use json::{MalformedSignatures, sign_json, verify_json};
pub use key_id::{InvalidKeyId, KeyId};
pub use key_source::{KeySource, KeyValidity, PublishedKey, VALIDITY_AHEAD_MAX_MS, ValidAt};
pub use prepared_keys::PreparedKeys;
pub use request::{Request, RequestError, sign_request, verify_request};
pub use required::{KEYS_OF_SERVER_MAX, WantedKey, required_signatures, wanted_keys};
pub use several::verify_events;
pub use sign_event::{SignEventError, SignedEvent, sign_event};
pub use signature::Signature;
pub use signer::{ServerSigner, Signer};
pub use signing_key::SigningKey;
pub use third_party_invite::{ThirdPartyInviteError, VERIFICATIONS_MAX, verify_third_party_invite};
pub use verifying_key::{InvalidKey, VerifyingKey, WrongSignature};
pub use x_matrix::{InvalidXMatrix, Parameter, XMatrix};
