//! Membership events of users of tenants in rooms of others: made here, of a template nothing but its place.

use freehold_event::HashedPdu;
use freehold_keyring::Purpose;
use freehold_signing::{
    POLICY_SERVER_KEY_ID, SignedEvent, SignedPdu, Signer, sign_event, signature_on, verify_event, wanted_keys,
};
use freehold_store::Actor;
use ruma_common::{RoomId, ServerName};
use serde_json::{Map, Value};

use super::BadAnswer;
use super::import::NotTaken;
use super::residents::Offer;
use crate::content;
use crate::error::ActionError;
use crate::outside::OwnStep;
use crate::rooms::Rooms;
use crate::work::{author_chooses_id, new_event_id};

/// What a user changes of their own membership, and what they say with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnChange<'a> {
    pub(crate) room_id: &'a RoomId,
    pub(crate) step: OwnStep,
    pub(crate) reason: Option<&'a str>,
}

impl Rooms {
    /// Makes and signs the event for which a server gave a template.
    pub(crate) async fn own_event(
        &self,
        actor: &Actor,
        change: OwnChange<'_>,
        offer: &Offer,
    ) -> Result<SignedEvent, ActionError> {
        let outside = &self.0.outside;
        let mut fields = match change.step {
            OwnStep::Leave => Map::new(),
            OwnStep::Join | OwnStep::Knock => {
                outside.profiles.member_profile(&actor.tenant, &actor.user_id).await
            }
        };
        if let Some(reason) = change.reason {
            fields.insert("reason".to_owned(), Value::from(reason));
        }
        let now_ts = self.now_ts();
        let template = offer.template.clone();
        let membership = change.step.membership();
        let mut proto = template.event(change.room_id.to_owned(), actor.user_id.clone(), membership);
        for (key, value) in content::made(&fields.into(), offer.version)?.iter() {
            if !proto.content.contains_key(key) {
                proto.content.insert(key.to_owned(), value.clone().into_owned());
            }
        }
        proto.origin_server_ts = now_ts;
        if author_chooses_id(offer.version) {
            proto.event_id = Some(new_event_id(self, &actor.tenant)?);
        }
        let new = proto.build(offer.version)?;
        let signer =
            outside.identities.signer(&actor.tenant, Purpose::Event { sender: &actor.user_id }, now_ts)?;
        let signer: &dyn Signer = &*signer;
        Ok(sign_event(new, &signer)?)
    }

    /// The event with the signatures that another server had to add, which gave it back.
    pub(crate) async fn completed(
        &self,
        actor: &Actor,
        event: SignedEvent,
        given_back: Option<&[u8]>,
    ) -> Result<SignedPdu, NotTaken> {
        let event = match event {
            SignedEvent::Complete(signed) => return Ok(with_recommendation_of(signed, given_back)),
            SignedEvent::AwaitingOthers { event, .. } => event,
        };
        let theirs = given_back.ok_or(BadAnswer::Form("the event is not given back"))?;
        let event = with_signatures_of(event, theirs)?;
        let keys = self.keys_for(&actor.tenant, std::iter::once(event.pdu())).await;
        let verified = verify_event(event, &keys, self.now_ts());
        let signed = verified.map_err(|error| BadAnswer::Unsigned(Box::new(error)))?;
        Ok(with_recommendation_of(signed, given_back))
    }
}

/// An event of ours with the signature of a policy server that is on the same event as another server gave it back. Whether the
/// room has that policy server, and whether the signature holds, is seen when the event is received.
fn with_recommendation_of(signed: SignedPdu, given_back: Option<&[u8]>) -> SignedPdu {
    let version = signed.pdu().version();
    let theirs = given_back.and_then(|theirs| freehold_event::Pdu::parse(theirs, version).ok());
    let Some(theirs) = theirs.filter(|theirs| theirs.signed_bytes() == signed.pdu().signed_bytes()) else {
        return signed;
    };
    let of_server = |server: &str| signature_on(&theirs, server, POLICY_SERVER_KEY_ID);
    let mut servers = freehold_canonical_json::fields(theirs.signatures()).flatten();
    let found =
        servers.find_map(|(server, _)| Some((ServerName::parse(&*server).ok()?, of_server(&server)?)));
    match found {
        Some((server, signature)) => signed.with_policy_signature(&server, &signature).unwrap_or(signed),
        None => signed,
    }
}

/// An event of ours with the signatures that it needs and that are on the same event as another server gave it back.
/// Nothing else of what it gave back is taken.
pub(crate) fn with_signatures_of(mut event: HashedPdu, theirs: &[u8]) -> Result<HashedPdu, BadAnswer> {
    let version = event.pdu().version();
    let theirs = freehold_event::Pdu::parse(theirs, version)?;
    if theirs.event_id() != event.pdu().event_id() || theirs.signed_bytes() != event.pdu().signed_bytes() {
        return Err(BadAnswer::OtherEvent);
    }
    for key in wanted_keys(&theirs).map_err(|error| BadAnswer::Unsigned(Box::new(error)))? {
        let (server, key_id) = (key.server.as_str(), key.key_id.as_str());
        if signature_on(event.pdu(), server, key_id).is_none()
            && let Some(signature) = signature_on(&theirs, server, key_id)
        {
            event = event.with_signature(server, key_id, &signature.to_base64())?;
        }
    }
    Ok(event)
}
