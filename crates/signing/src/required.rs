//! Which servers must have signed an event.

use std::borrow::Cow;

use freehold_canonical_json::{RawValue, member, string_member};
use freehold_event::{Pdu, server_name_of};
use ruma_common::{OwnedServerName, ServerName};

use crate::{KeyId, SignatureError};

/// The servers whose signature an event needs, each once.
///
/// By [Validating hashes and signatures](https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events)
/// and the authorisation rules of room version 8 and later:
///
/// - the server of the `sender`, "unless the event is a 3rd party invite": then "the server which
///   actually sends the event may be a different server", and nobody's signature is needed;
/// - in room versions 1 and 2, the domain of the `event_id`;
/// - from room version 8 on, for an `m.room.member` event with `join_authorised_via_users_server`,
///   the server of that user, whatever the membership (rule 4.2 of
///   <https://spec.matrix.org/v1.19/rooms/v8/#authorization-rules>).
///
/// A third-party invite is an `m.room.member` event with membership `invite` and an *object* under
/// `third_party_invite`; anything else that only looks like one needs its sender's signature. It
/// loses that object when it is redacted (before room version 11), and is then an invite like any
/// other: without this, anybody could make an invite in the name of anybody by spoiling its hash.
///
/// # Errors
///
/// [`SignatureError::NoServer`] when an identifier in question names no server.
pub fn required_signatures(pdu: &Pdu) -> Result<Vec<OwnedServerName>, SignatureError> {
    let rules = &pdu.version().rules().signatures;
    let is_member = pdu.event_type() == "m.room.member";
    let mut servers = Vec::with_capacity(2);
    if !is_third_party_invite(pdu) {
        servers.push(pdu.sender().server_name().to_owned());
    }
    if rules.check_event_id_server {
        let id = pdu.event_id();
        add(&mut servers, id.server_name().ok_or_else(|| no_server(id.as_str()))?);
    }
    if rules.check_join_authorised_via_users_server
        && is_member
        && let Some(user) = content_member(pdu.content(), AUTHORISER)
    {
        add(&mut servers, server_of(&user.as_str().unwrap_or_default())?);
    }
    Ok(servers)
}

/// With how many keys of one server an event is looked at: it is signed with one, and with two while the server changes its key.
/// An event has room for some thousand names of keys, each of which would be asked for.
pub const KEYS_OF_SERVER_MAX: usize = 16;

/// The keys an event is signed with on behalf of the servers that must sign it: what to have at
/// hand before [`verify_event`](crate::verify_event) is called.
///
/// Signatures of other servers, and of other algorithms, are not looked at; and of each server only the first
/// [`KEYS_OF_SERVER_MAX`] that name different keys.
///
/// # Errors
///
/// Those of [`required_signatures`].
pub fn wanted_keys(pdu: &Pdu) -> Result<Vec<WantedKey>, SignatureError> {
    let enforced = pdu.version().rules().enforce_key_validity;
    let minimum_valid_until_ts = enforced.then(|| pdu.origin_server_ts());
    let mut wanted = Vec::new();
    for server in required_signatures(pdu)? {
        let key_ids = entry(pdu, server.as_str()).into_iter().flatten();
        let key_ids = key_ids.filter_map(|(key_id, _)| KeyId::parse(&key_id).ok().filter(KeyId::is_ed25519));
        wanted.extend(key_ids.take(KEYS_OF_SERVER_MAX).map(|key_id| WantedKey {
            server: server.clone(),
            key_id,
            minimum_valid_until_ts,
        }));
    }
    Ok(wanted)
}

/// A key that is needed to verify an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedKey {
    /// The server that must have signed.
    pub server: OwnedServerName,
    /// The key it names.
    pub key_id: KeyId,
    /// Until when the key must be valid, in Unix milliseconds, to be used in a query to a notary.
    /// `None` in room versions that ignore it.
    pub minimum_valid_until_ts: Option<i64>,
}

/// The field of a restricted join that names the user who authorised it.
pub(crate) const AUTHORISER: &str = "join_authorised_via_users_server";

/// What a server's entry under the `signatures` of an event holds.
pub(crate) fn entry<'p>(
    pdu: &'p Pdu,
    server: &str,
) -> Option<impl Iterator<Item = (Cow<'p, str>, Option<Cow<'p, str>>)>> {
    let entry = content_member(pdu.signatures(), server)?.as_object()?;
    Some(entry.filter_map(Result::ok).map(|(key_id, signature)| (key_id, signature.as_str())))
}

/// A member of a JSON object inside an event, whose text is known to be well-formed.
pub(crate) fn content_member<'a>(object: &'a str, key: &str) -> Option<RawValue<'a>> {
    member(object, key).ok().flatten()
}

/// Whether a content has this membership.
pub(crate) fn has_membership(content: &str, membership: &str) -> bool {
    string_member(content, "membership").as_deref() == Some(membership)
}

/// Whether the sender's server need not have signed an event: an invite that redeems a third-party
/// invite.
pub(crate) fn is_third_party_invite(pdu: &Pdu) -> bool {
    pdu.event_type() == "m.room.member"
        && has_membership(pdu.content(), "invite")
        && content_member(pdu.content(), "third_party_invite").is_some_and(|i| i.as_object().is_some())
}

/// The server of a user or other id.
pub(crate) fn server_of(id: &str) -> Result<&ServerName, SignatureError> {
    server_name_of(id).and_then(|name| <&ServerName>::try_from(name).ok()).ok_or_else(|| no_server(id))
}

fn add(servers: &mut Vec<OwnedServerName>, server: &ServerName) {
    if !servers.iter().any(|known| known == server) {
        servers.push(server.to_owned());
    }
}

fn no_server(id: &str) -> SignatureError {
    SignatureError::NoServer { id: id.to_owned() }
}
