//! The two cases in which a server signs an event of another server's user.

use freehold_event::{FormatError, HashedPdu};
use ruma_common::{OwnedServerName, ServerName};

use crate::{
    KeySource, SignatureError, SignedPdu, Signer,
    event::verify_server,
    proven::Proven,
    required::{AUTHORISER, content_member, has_membership, required_signatures, server_of},
};

/// Signs an invite of one of the signer's users, received by
/// [`PUT /_matrix/federation/v2/invite`](https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room).
///
/// `origin` is the server that sent the request. Only an `m.room.member` event with membership
/// `invite` is signed, whose target is a user of the signer's server and whose sender one of
/// `origin`: a server that signed whatever it is sent here would sign joins and messages in the name
/// of its users.
///
/// # Errors
///
/// [`CountersignError`]; `origin` is at fault.
pub fn countersign_invite(
    event: &SignedPdu,
    origin: &ServerName,
    signer: &impl Signer,
) -> Result<SignedPdu, CountersignError> {
    let pdu = event.pdu();
    if pdu.event_type() != "m.room.member" || !has_membership(pdu.content(), "invite") {
        return Err(CountersignError::OtherKind);
    }
    let target = pdu.state_key().ok_or(CountersignError::OtherKind)?;
    concerns(server_of(target)?, signer)?;
    is_from(pdu.sender().server_name(), origin)?;
    let (signed, proven) = signed(event.hashed(), signer)?;
    Ok(SignedPdu::trust(signed, event.proven().iter().cloned().chain([proven]).collect()))
}

/// Checks and signs a restricted join as the server of the user who authorised it, received by
/// [`PUT /_matrix/federation/v2/send_join`](https://spec.matrix.org/v1.19/server-server-api/#restricted-rooms).
///
/// `origin` is the server that sent the request, `now_ms` the time in Unix milliseconds. Only an
/// `m.room.member` event with membership `join` is signed, by which a user of `origin` joins with
/// the authority of a user of the signer's server; and only when every other signature it needs
/// holds. Whether that user may authorise it is for the authorisation rules to say.
///
/// # Errors
///
/// [`CountersignError`]; `origin` is at fault.
pub fn countersign_join(
    event: &HashedPdu,
    origin: &ServerName,
    signer: &impl Signer,
    keys: &impl KeySource,
    now_ms: i64,
) -> Result<SignedPdu, CountersignError> {
    let pdu = event.pdu();
    let own = pdu.state_key() == Some(pdu.sender().as_str());
    if pdu.event_type() != "m.room.member" || !own || !has_membership(pdu.content(), "join") {
        return Err(CountersignError::OtherKind);
    }
    let authoriser = content_member(pdu.content(), AUTHORISER).and_then(|user| user.as_str());
    concerns(server_of(&authoriser.ok_or(CountersignError::OtherKind)?)?, signer)?;
    is_from(pdu.sender().server_name(), origin)?;
    for server in required_signatures(pdu)? {
        if server != signer.server_name() {
            verify_server(pdu, &server, (keys, &[]), now_ms)?;
        }
    }
    let (signed, proven) = signed(event, signer)?;
    Ok(SignedPdu::trust(signed, vec![proven]))
}

/// Why an event of another server is not signed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CountersignError {
    /// Not an event of the kind that is signed for others.
    #[error("not an event that is signed for others")]
    OtherKind,
    /// The user concerned is not one of the signer's server.
    #[error("the event concerns {server}")]
    OtherServer {
        /// The server of the user concerned.
        server: OwnedServerName,
    },
    /// The sender is not a user of the server that sent the request.
    #[error("the event is by a user of {server}")]
    OtherOrigin {
        /// The server of the sender.
        server: OwnedServerName,
    },
    /// An identifier names no server, or a signature that must be there does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The event has no room for another signature.
    #[error("no well-formed event with the signature")]
    Format(#[from] FormatError),
}

fn concerns(server: &ServerName, signer: &impl Signer) -> Result<(), CountersignError> {
    if server == signer.server_name() {
        return Ok(());
    }
    Err(CountersignError::OtherServer { server: server.to_owned() })
}

fn is_from(server: &ServerName, origin: &ServerName) -> Result<(), CountersignError> {
    if server == origin {
        return Ok(());
    }
    Err(CountersignError::OtherOrigin { server: server.to_owned() })
}

fn signed(event: &HashedPdu, signer: &impl Signer) -> Result<(HashedPdu, Proven), FormatError> {
    let (signature, proven) = Proven::by(signer, event.pdu().signed_bytes());
    let (server, key_id) = (signer.server_name().as_str(), signer.key_id().as_str());
    Ok((event.with_signature(server, key_id, &signature.to_base64())?, proven))
}
