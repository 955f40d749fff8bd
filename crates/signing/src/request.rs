//! Signing federation requests, and checking who sent one.

use freehold_canonical_json::{Limits, ParseError, Sink, Value, canonicalize};
use ruma_common::{OwnedServerName, ServerName};

use crate::{KeyId, KeySource, KeyValidity, Signer, XMatrix};

/// A federation request, as far as its signature covers it
/// (<https://spec.matrix.org/v1.19/server-server-api/#request-authentication>).
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The HTTP method, in capitals as on the wire.
    pub method: &'r str,
    /// Path and query exactly as on the wire, from `/_matrix/` on.
    pub uri: &'r str,
    /// The server the request is sent to: the name before delegation. When receiving, it is the
    /// name of ours that the request reached (the tenant of its host name), never one taken from
    /// the header.
    pub destination: &'r ServerName,
    /// The body as it is sent, JSON in any spelling. `None` when the request has no body.
    pub content: Option<&'r [u8]>,
}

/// Signs a request in the name of the signer's server.
///
/// The header value is the `Display` of the result.
///
/// # Errors
///
/// The fault of the body when it is not JSON within [`Limits::RELAXED`]; the caller's mistake.
pub fn sign_request(request: &Request<'_>, signer: &impl Signer) -> Result<XMatrix, ParseError> {
    let origin = signer.server_name();
    let signature = signer.sign(&signed_bytes(request, origin)?);
    Ok(XMatrix {
        origin: origin.to_owned(),
        destination: Some(request.destination.to_owned()),
        key: signer.key_id().clone(),
        signature,
    })
}

/// Checks that the server named in the header sent this request to this destination.
///
/// A header without destination is accepted, as the specification asks: what is signed names the
/// destination all the same. `now_ms` is the time in Unix milliseconds; only keys that are in use
/// and valid now sign requests, old ones do not.
///
/// # Errors
///
/// [`RequestError`], every one of which is to be answered with 401. After
/// [`UnknownKey`](RequestError::UnknownKey) and [`KeyNotValid`](RequestError::KeyNotValid) it is
/// worth fetching the origin's keys and asking again.
pub fn verify_request(
    request: &Request<'_>,
    credentials: &XMatrix,
    keys: &impl KeySource,
    now_ms: i64,
) -> Result<(), RequestError> {
    if let Some(named) = credentials.destination.as_ref().filter(|name| *name != request.destination) {
        return Err(RequestError::WrongDestination { named: named.clone() });
    }
    let (server, key_id) = (&credentials.origin, &credentials.key);
    let named = || (server.clone(), key_id.clone());
    let key = keys.key(server, key_id).filter(|_| key_id.is_ed25519()).ok_or_else(|| {
        let (server, key_id) = named();
        RequestError::UnknownKey { server, key_id }
    })?;
    if !key.validity.covers_request(now_ms) {
        let (server, key_id) = named();
        return Err(RequestError::KeyNotValid { server, key_id, validity: key.validity });
    }
    let message = signed_bytes(request, server).map_err(RequestError::Content)?;
    key.key.verify(&message, &credentials.signature).map_err(|_| {
        let (server, key_id) = named();
        RequestError::WrongSignature { server, key_id }
    })
}

/// Why a request is not authenticated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The header names another destination than the one the request reached.
    #[error("the request is meant for {named}")]
    WrongDestination {
        /// The destination in the header.
        named: OwnedServerName,
    },
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    Content(#[source] ParseError),
    /// The key is not known, or not of a known algorithm.
    #[error("the key {key_id} of {server} is not known")]
    UnknownKey {
        /// The origin.
        server: OwnedServerName,
        /// The key the header names.
        key_id: KeyId,
    },
    /// The key is known, but not valid now: no longer in use, or last published too long ago.
    #[error("the key {key_id} of {server} is not valid now")]
    KeyNotValid {
        /// The origin.
        server: OwnedServerName,
        /// The key the header names.
        key_id: KeyId,
        /// What is known of its validity.
        validity: KeyValidity,
    },
    /// The signature does not match what was received.
    #[error("the signature of {server} with {key_id} does not match the request")]
    WrongSignature {
        /// The origin.
        server: OwnedServerName,
        /// The key the header names.
        key_id: KeyId,
    },
}

/// The canonical JSON of "Step 1 sign JSON", written without a tree: its five keys in order.
fn signed_bytes(request: &Request<'_>, origin: &ServerName) -> Result<Vec<u8>, ParseError> {
    let mut bytes = Vec::new();
    let mut separator: &[u8] = b"{";
    if let Some(content) = request.content {
        bytes.write(b"{\"content\":");
        canonicalize(content, &Limits::RELAXED, &mut bytes)?;
        separator = b",";
    }
    for (name, value) in [
        (&b"\"destination\":"[..], request.destination.as_str()),
        (b"\"method\":", request.method),
        (b"\"origin\":", origin.as_str()),
        (b"\"uri\":", request.uri),
    ] {
        bytes.write(separator);
        bytes.write(name);
        Value::String(value.into()).write_canonical(&mut bytes);
        separator = b",";
    }
    bytes.write(b"}");
    Ok(bytes)
}
