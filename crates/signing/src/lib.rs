//! Signatures on Matrix JSON, events and federation requests.

mod encoding;
mod entry;
mod error;
mod header_parameters;
mod json;
mod key_id;
mod key_source;
mod request;
mod signature;
mod signer;
mod signing_key;
mod verifying_key;
mod x_matrix;

pub use error::SignatureError;
pub use json::{MalformedSignatures, sign_json, verify_json};
pub use key_id::{InvalidKeyId, KeyId};
pub use key_source::{KeySource, KeyValidity, PublishedKey, VALIDITY_AHEAD_MAX_MS, ValidAt};
pub use request::{Request, RequestError, sign_request, verify_request};
pub use signature::Signature;
pub use signer::{ServerSigner, Signer};
pub use signing_key::SigningKey;
pub use verifying_key::{InvalidKey, VerifyingKey, WrongSignature};
pub use x_matrix::{InvalidXMatrix, Parameter, XMatrix};
