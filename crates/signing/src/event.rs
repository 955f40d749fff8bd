//! The signatures of events.

use freehold_event::{FormatError, HashedPdu, Pdu};
use ruma_common::ServerName;

use crate::{
    KeySource, KeyValidity, Signature, SignatureError, VerifyingKey, WrongSignature,
    entry::Check,
    proven::Proven,
    required::{entry, required_signatures},
};

/// An event that every server which must sign it has signed.
///
/// The only ways to one are [`verify_event`], which checks, and the functions that sign: see
/// [`sign_event`](crate::sign_event).
#[derive(Clone, Debug)]
pub struct SignedPdu {
    event: HashedPdu,
    /// The signatures of it of which it is known that they hold.
    proven: Vec<Proven>,
}

impl SignedPdu {
    pub(crate) fn trust(event: HashedPdu, proven: Vec<Proven>) -> Self {
        Self { event, proven }
    }

    pub(crate) fn proven(&self) -> &[Proven] {
        &self.proven
    }

    /// The event: as received, or redacted because its content hash did not match.
    pub fn pdu(&self) -> &Pdu {
        self.event.pdu()
    }

    /// The event with the verdict on its content hash.
    pub fn hashed(&self) -> &HashedPdu {
        &self.event
    }

    /// The event with the signature a policy server gave, under its name and
    /// [`POLICY_SERVER_KEY_ID`]. Other signatures stay, also when the policy server is the sender's
    /// server too. Whether it is good is for [`verify_policy_signature`] to say.
    ///
    /// # Errors
    ///
    /// The event has no room for it.
    pub fn with_policy_signature(
        &self,
        policy_server: &ServerName,
        signature: &Signature,
    ) -> Result<Self, FormatError> {
        let signature = signature.to_base64();
        let event = self.event.with_signature(policy_server.as_str(), POLICY_SERVER_KEY_ID, &signature)?;
        Ok(Self { event, proven: self.proven.clone() })
    }

    /// The event, back at the stage before.
    pub fn into_hashed(self) -> HashedPdu {
        self.event
    }

    /// Checks again that everybody who must sign the event has signed it, as
    /// [`verify_event`] does and with the same answer: for whoever relies on the keys that servers
    /// publish and not on whoever signed. Signatures that were made in this process with the very keys that
    /// are published are not computed once more.
    ///
    /// # Errors
    ///
    /// Those of [`verify_event`].
    pub fn verified_by(self, keys: &impl KeySource, now_ms: i64) -> Result<Self, SignatureError> {
        check(self.pdu(), (keys, &self.proven), now_ms)?;
        Ok(self)
    }
}

impl PartialEq for SignedPdu {
    fn eq(&self, other: &Self) -> bool {
        self.event == other.event
    }
}

impl Eq for SignedPdu {}

/// Checks that everybody who must sign an event has signed it.
///
/// For each of [`required_signatures`]: keys that are unknown, or no good for the time of the event
/// ([`KeyValidity::covers_event`](crate::KeyValidity::covers_event)), are skipped; every other
/// signature of that server must hold, and there must be one. What other servers have signed is
/// not looked at. `now_ms` is the time in Unix milliseconds.
///
/// Signatures are verified one at a time. In a batch, a signature with a component of small order
/// may pass or fail by chance, so servers would disagree about the event.
///
/// # Errors
///
/// [`SignatureError`]: the event is to be dropped
/// (<https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>), after
/// [`NoUsableKey`](SignatureError::NoUsableKey) only when the keys it names cannot be had.
pub fn verify_event(
    event: HashedPdu,
    keys: &impl KeySource,
    now_ms: i64,
) -> Result<SignedPdu, SignatureError> {
    check(event.pdu(), (keys, &[]), now_ms)?;
    Ok(SignedPdu::trust(event, Vec::new()))
}

/// The signature a server put on an event under a key id, if it is there and can be read.
///
/// Nothing is verified.
pub fn signature_on(pdu: &Pdu, server_name: &str, key_id: &str) -> Option<Signature> {
    let (_, signature) = entry(pdu, server_name)?.find(|(id, _)| id == key_id)?;
    Signature::from_base64(&signature?)
}

/// Checks the signature of a policy server on an event.
///
/// It stands under the server's name and always under `ed25519:policy_server`, and is verified with
/// the `public_keys.ed25519` of the room's `m.room.policy` event, never with a key the server
/// publishes (<https://spec.matrix.org/v1.19/server-server-api/#validating-policy-server-signatures>).
/// It is asked of every event but `m.room.policy` itself, also of state.
///
/// # Errors
///
/// [`WrongSignature`] when it is not there, cannot be read or does not match.
pub fn verify_policy_signature(
    pdu: &Pdu,
    policy_server: &str,
    key_in_state: &VerifyingKey,
) -> Result<(), WrongSignature> {
    let signature = signature_on(pdu, policy_server, POLICY_SERVER_KEY_ID).ok_or(WrongSignature)?;
    key_in_state.verify(pdu.signed_bytes(), &signature)
}

/// The key id under which a policy server signs events.
pub const POLICY_SERVER_KEY_ID: &str = "ed25519:policy_server";

/// Checks that everybody who must sign an event has signed it.
pub(crate) fn check(
    pdu: &Pdu,
    (keys, proven): (&impl KeySource, &[Proven]),
    now_ms: i64,
) -> Result<(), SignatureError> {
    for server in required_signatures(pdu)? {
        verify_server(pdu, &server, (keys, proven), now_ms)?;
    }
    Ok(())
}

pub(crate) fn verify_server(
    pdu: &Pdu,
    server: &ServerName,
    (keys, proven): (&impl KeySource, &[Proven]),
    now_ms: i64,
) -> Result<(), SignatureError> {
    check_of(pdu, server, (keys, proven), now_ms).entry(entry(pdu, server.as_str()))
}

/// How the signatures of a server on an event are checked.
pub(crate) fn check_of<'c, K: KeySource>(
    pdu: &'c Pdu,
    server: &'c ServerName,
    (keys, proven): (&'c K, &'c [Proven]),
    now_ms: i64,
) -> Check<'c, K, impl Fn(KeyValidity) -> bool + 'c> {
    let (at, version) = (pdu.origin_server_ts(), pdu.version());
    let valid = move |validity: KeyValidity| validity.covers_event(at, version, now_ms);
    Check { server, message: pdu.signed_bytes(), keys, valid, proven }
}
