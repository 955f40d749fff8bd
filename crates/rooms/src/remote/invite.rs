//! Invites of users of other servers: their server signs before the room hears of it
//! (<https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room>).

use std::sync::Arc;

use freehold_canonical_json::Object;
use freehold_event::Pdu;
use freehold_room::Event;
use freehold_signing::{KeyId, SignedPdu, WantedKey, signature_on, verify_event};
use freehold_store::Tenant;
use ruma_common::{OwnedEventId, RoomId, ServerName, UserId};

use super::BadAnswer;
use super::import::NotTaken;
use crate::error::ActionError;
use crate::outside::SendInvite;
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::{Wanted, Work};

/// How many keys of a server on one event are looked at.
const KEYS_MAX: usize = 8;

impl Rooms {
    /// Whether a user is of a server that is not hosted here.
    pub(crate) fn is_foreign(&self, user_id: &UserId) -> bool {
        self.0.outside.identities.tenant(user_id.server_name()).is_none()
    }

    /// Invites a user of another server. The room is not locked while that server is asked; whether the invite is allowed
    /// is looked at before and after.
    pub(crate) async fn invite_elsewhere(
        &self,
        tenant: &Tenant,
        room_id: &RoomId,
        (sender, invitee): (&UserId, &UserId),
        content: Object<'static>,
    ) -> Result<OwnedEventId, ActionError> {
        let server = invitee.server_name();
        if !self.0.outside.identities.speak(tenant, server) {
            return Err(ActionError::NotReached(server.to_owned()));
        }
        let wanted = Wanted::state(sender, ("m.room.member", invitee.as_str()), content);
        let mut work = Work::begin(self, room_id).await?;
        if !work.machine.admits(tenant.server_name()) {
            return Err(ActionError::ShutOut(tenant.server_name().to_owned()));
        }
        let invite = work.signed_event(tenant, wanted).await?;
        let invite = work.recommended(tenant, invite).await?;
        let allowed = work.receive(invite.clone()).await?;
        let room_state = self.reader_at(work.snapshot.clone()).current_state(work.number).await?;
        let room_state = room_state.stripped_pdus().await?;
        let room_version = work.machine.version().id();
        drop((work, allowed));
        let send = SendInvite {
            room_id,
            event_id: invite.pdu().event_id(),
            event: invite.pdu().canonical_json(),
            room_version,
            room_state: &room_state,
        };
        let answer = self.0.outside.remote.send_invite(tenant, server, send).await;
        let theirs = answer.map_err(|answer| ActionError::Refused { server: server.to_owned(), answer })?;
        let invite = self.taken_back(tenant, (invite, server), theirs.as_bytes()).await?;
        let event = tried!(self.try_add(tenant, room_id, &invite))?;
        Ok(event.pdu.event_id().to_owned())
    }

    async fn try_add(
        &self,
        tenant: &Tenant,
        room_id: &RoomId,
        event: &SignedPdu,
    ) -> Result<Arc<Event>, ActionError> {
        let mut work = Work::begin(self, room_id).await?;
        let event = work.receive(event.clone()).await?;
        work.send_out(tenant, &event);
        work.commit().await?;
        Ok(event)
    }

    /// Our invite with the signature of the invited user's server, which gave it back: the same event, and theirs to sign.
    async fn taken_back(
        &self,
        tenant: &Tenant,
        (invite, server): (SignedPdu, &ServerName),
        theirs: &[u8],
    ) -> Result<SignedPdu, ActionError> {
        let bad = |source| ActionError::BadAnswer { server: server.to_owned(), source };
        match self.with_signature_of(tenant, (invite, server), theirs).await {
            Ok(signed) => Ok(signed),
            Err(NotTaken::Answer(source)) => Err(bad(source)),
            Err(NotTaken::Here(error)) => Err(error),
        }
    }

    async fn with_signature_of(
        &self,
        tenant: &Tenant,
        (invite, server): (SignedPdu, &ServerName),
        theirs: &[u8],
    ) -> Result<SignedPdu, NotTaken> {
        let version = invite.pdu().version();
        let theirs = Pdu::parse(theirs, version).map_err(BadAnswer::from)?;
        if theirs.event_id() != invite.pdu().event_id()
            || theirs.signed_bytes() != invite.pdu().signed_bytes()
        {
            return Err(BadAnswer::OtherEvent.into());
        }
        let key_ids = key_ids_of(&theirs, server);
        let wanted: Vec<WantedKey> = key_ids
            .iter()
            .map(|key_id| WantedKey {
                server: server.to_owned(),
                key_id: key_id.clone(),
                minimum_valid_until_ts: Some(theirs.origin_server_ts()),
            })
            .collect();
        let keys = self.0.outside.remote.keys(tenant, &wanted).await;
        let now_ts = self.now_ts();
        let unsigned = || BadAnswer::Form("the invite is not signed by the server of the invited user");
        let signature = key_ids.iter().find_map(|key_id| {
            let signature = signature_on(&theirs, server.as_str(), key_id.as_str())?;
            let key = keys.key(server, key_id)?;
            let holds = key.validity.covers_event(theirs.origin_server_ts(), version, now_ts)
                && key.key.verify(theirs.signed_bytes(), &signature).is_ok();
            holds.then_some((key_id, signature))
        });
        let (key_id, signature) = signature.ok_or_else(unsigned)?;
        let signed = invite
            .into_hashed()
            .with_signature(server.as_str(), key_id.as_str(), &signature.to_base64())
            .map_err(BadAnswer::from)?;
        let keys = self.keys_for(tenant, std::iter::once(signed.pdu())).await;
        Ok(verify_event(signed, &keys, now_ts).map_err(ActionError::from)?)
    }
}

/// The ids of the keys with which a server signed an event.
fn key_ids_of(pdu: &Pdu, server: &ServerName) -> Vec<KeyId> {
    let entry = freehold_canonical_json::member(pdu.signatures(), server.as_str()).ok().flatten();
    let fields = entry.and_then(|entry| entry.as_object()).into_iter().flatten().filter_map(Result::ok);
    let key_ids = fields.filter_map(|(key_id, _)| KeyId::parse(&key_id).ok());
    key_ids.filter(KeyId::is_ed25519).take(KEYS_MAX).collect()
}
