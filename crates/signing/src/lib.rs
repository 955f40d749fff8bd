//! Signatures on Matrix JSON, events and federation requests.

mod countersign;
mod encoding;
mod entry;
mod error;
mod event;
mod header_parameters;
mod json;
mod key_id;
mod key_source;
mod request;
mod required;
mod sign_event;
mod signature;
mod signer;
mod signing_key;
mod third_party_invite;
mod verifying_key;
mod x_matrix;

pub use countersign::{CountersignError, countersign_invite, countersign_join};
pub use error::SignatureError;
pub use event::{POLICY_SERVER_KEY_ID, SignedPdu, signature_on, verify_event, verify_policy_signature};
pub use json::{MalformedSignatures, sign_json, verify_json};
pub use key_id::{InvalidKeyId, KeyId};
pub use key_source::{KeySource, KeyValidity, PublishedKey, VALIDITY_AHEAD_MAX_MS, ValidAt};
pub use request::{Request, RequestError, sign_request, verify_request};
pub use required::{WantedKey, required_signatures, wanted_keys};
pub use sign_event::{SignEventError, SignedEvent, sign_event};
pub use signature::Signature;
pub use signer::{ServerSigner, Signer};
pub use signing_key::SigningKey;
pub use third_party_invite::{ThirdPartyInviteError, VERIFICATIONS_MAX, verify_third_party_invite};
pub use verifying_key::{InvalidKey, VerifyingKey, WrongSignature};
pub use x_matrix::{InvalidXMatrix, Parameter, XMatrix};
