//! Signatures: of the author, of whom a membership concerns, and their verification on behalf of other tenants.

use std::collections::BTreeMap;

use freehold_canonical_json::string_member;
use freehold_event::{NewPdu, Pdu, server_name_of};
use freehold_keyring::Purpose;
use freehold_signing::{
    KeyId, KeySource, KeyValidity, PublishedKey, SignedEvent, SignedPdu, Signer, VerifyingKey, WantedKey,
    countersign_invite, countersign_join, sign_event, wanted_keys,
};
use freehold_store::Tenant;
use ruma_common::{OwnedServerName, OwnedUserId, ServerName, UserId};

use crate::error::ActionError;
use crate::rooms::Rooms;

/// Signs a new event as its author, and has it signed by the tenants whom it concerns: the server of the user who
/// authorises a restricted join, the server of the user who is invited. Each of them decides for itself, as it
/// would if it were asked over the network. `now_ts` is in milliseconds since the Unix epoch.
///
/// # Errors
/// [`ActionError::Signing`], [`ActionError::CannotAuthorise`], [`ActionError::Unsigned`].
pub(crate) fn signed(
    rooms: &Rooms,
    author: &Tenant,
    new: NewPdu,
    now_ts: i64,
) -> Result<SignedPdu, ActionError> {
    let identities = &rooms.0.outside.identities;
    let sender = new.pdu().sender().to_owned();
    let signer = identities.signer(author, Purpose::Event { sender: &sender }, now_ts)?;
    let signer: &dyn Signer = &*signer;
    match sign_event(new, &signer)? {
        SignedEvent::Complete(signed) => with_invitee(rooms, author, signed, now_ts),
        SignedEvent::AwaitingOthers { event, .. } => {
            let authoriser = authoriser(event.pdu()).ok_or(ActionError::CannotAuthorise)?;
            let tenant = identities.tenant(authoriser.server_name()).ok_or(ActionError::CannotAuthorise)?;
            let signer = identities.signer(&tenant, Purpose::Membership { user: &authoriser }, now_ts)?;
            let signer: &dyn Signer = &*signer;
            let keys = HostedKeys::of(rooms, event.pdu(), now_ts);
            Ok(countersign_join(&event, author.server_name(), &signer, &keys, now_ts)?)
        }
    }
}

/// Adds the signature of an invited user's tenant
/// (<https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room>).
fn with_invitee(
    rooms: &Rooms,
    author: &Tenant,
    signed: SignedPdu,
    now_ts: i64,
) -> Result<SignedPdu, ActionError> {
    let identities = &rooms.0.outside.identities;
    let Some(invitee) = invitee(signed.pdu()).filter(|user| !author.owns(user)) else {
        return Ok(signed);
    };
    let Some(tenant) = identities.tenant(invitee.server_name()) else {
        return Ok(signed);
    };
    let signer = identities.signer(&tenant, Purpose::Membership { user: &invitee }, now_ts)?;
    let signer: &dyn Signer = &*signer;
    Ok(countersign_invite(&signed, author.server_name(), &signer)?)
}

/// Checks the signatures of an event as another server would: each of them, with the keys that the tenants publish.
/// What was signed here a moment ago with the very key that is published is not computed again.
///
/// # Errors
/// [`ActionError::Unsigned`].
pub(crate) fn verified(rooms: &Rooms, signed: SignedPdu, now_ts: i64) -> Result<SignedPdu, ActionError> {
    let keys = HostedKeys::of(rooms, signed.pdu(), now_ts);
    Ok(signed.verified_by(&keys, now_ts)?)
}

fn authoriser(pdu: &Pdu) -> Option<OwnedUserId> {
    UserId::parse(&*string_member(pdu.content(), "join_authorised_via_users_server")?).ok()
}

fn invitee(pdu: &Pdu) -> Option<OwnedUserId> {
    let membership = string_member(pdu.content(), "membership")?;
    let is_invite = pdu.event_type() == "m.room.member" && membership == "invite";
    let target = pdu.state_key().filter(|target| is_invite && server_name_of(target).is_some())?;
    UserId::parse(target).ok()
}

/// The published keys of tenants with which an event is signed.
#[derive(Default)]
pub(crate) struct HostedKeys(BTreeMap<(OwnedServerName, KeyId), (VerifyingKey, KeyValidity)>);

impl HostedKeys {
    fn of(rooms: &Rooms, pdu: &Pdu, now_ts: i64) -> Self {
        HostedKeys::wanted(rooms, wanted_keys(pdu).unwrap_or_default(), now_ts)
    }

    /// Those of some keys that tenants publish.
    pub(crate) fn wanted(rooms: &Rooms, wanted: Vec<WantedKey>, now_ts: i64) -> Self {
        let identities = &rooms.0.outside.identities;
        let mut keys = BTreeMap::new();
        for wanted in wanted {
            let Some(tenant) = identities.tenant(&wanted.server) else {
                continue;
            };
            if let Some(key) = identities.published_key(&tenant, &wanted.key_id, now_ts) {
                keys.insert((wanted.server, wanted.key_id), key);
            }
        }
        HostedKeys(keys)
    }
}

impl KeySource for HostedKeys {
    fn key(&self, server: &ServerName, key_id: &KeyId) -> Option<PublishedKey<'_>> {
        let (key, validity) = self.0.get(&(server.to_owned(), key_id.clone()))?;
        Some(PublishedKey { key, validity: *validity })
    }
}
