//! Signing an event as its author.

use freehold_event::{FormatError, HashedPdu, NewPdu, Pdu};
use ruma_common::OwnedServerName;

use crate::{
    SignatureError, SignedPdu, Signer,
    proven::Proven,
    required::{is_third_party_invite, required_signatures},
};

/// Signs an event that was built here
/// (<https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events>).
///
/// Only a [`NewPdu`] can be signed as an author, and nothing received ever becomes one: what a
/// remote server hands out as a template is data from which an event is built. The sender must be a
/// user of the signer's server, but for a third-party invite, which "may be sent by a different
/// server".
///
/// ```compile_fail
/// # fn sign(received: freehold_event::Pdu, signer: freehold_signing::ServerSigner) {
/// // An event of somebody else is not a `NewPdu`.
/// let signed = freehold_signing::sign_event(received, &signer);
/// # }
/// ```
///
/// # Errors
///
/// [`SignEventError`]; the caller's mistake.
pub fn sign_event(event: NewPdu, signer: &impl Signer) -> Result<SignedEvent, SignEventError> {
    let ours = signer.server_name();
    if event.pdu().sender().server_name() != ours && !is_third_party_invite(event.pdu()) {
        return Err(SignEventError::OtherSender {
            sender: event.pdu().sender().to_string(),
            signer: ours.to_owned(),
        });
    }
    let mut servers = required_signatures(event.pdu())?;
    servers.retain(|server| server != ours);
    let (signature, proven) = Proven::by(signer, event.signed_bytes());
    let event = event.with_signature(ours.as_str(), signer.key_id().as_str(), &signature.to_base64())?;
    Ok(if servers.is_empty() {
        SignedEvent::Complete(SignedPdu::trust(event, vec![proven]))
    } else {
        SignedEvent::AwaitingOthers { event, servers }
    })
}

/// An event its author has signed.
#[must_use = "other servers may have to sign it too"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedEvent {
    /// Nobody else needs to sign.
    Complete(SignedPdu),
    /// Others must sign as well before anybody takes it: the authoriser of a restricted join, or
    /// the server whose name is in the event id.
    AwaitingOthers {
        /// The event with the author's signature.
        event: HashedPdu,
        /// Who else must sign.
        servers: Vec<OwnedServerName>,
    },
}

impl SignedEvent {
    /// The event.
    pub fn pdu(&self) -> &Pdu {
        match self {
            Self::Complete(event) => event.pdu(),
            Self::AwaitingOthers { event, .. } => event.pdu(),
        }
    }

    /// The event, if nobody else needs to sign.
    pub fn complete(self) -> Option<SignedPdu> {
        match self {
            Self::Complete(event) => Some(event),
            Self::AwaitingOthers { .. } => None,
        }
    }
}

/// Why an event is not signed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SignEventError {
    /// The sender is not a user of the server that was to sign.
    #[error("{signer} does not sign for {sender}")]
    OtherSender {
        /// The sender of the event.
        sender: String,
        /// The server that was to sign.
        signer: OwnedServerName,
    },
    /// An identifier names no server that could sign.
    #[error(transparent)]
    Server(#[from] SignatureError),
    /// The event has no room for the signature.
    #[error("no well-formed event with the signature")]
    Format(#[from] FormatError),
}
