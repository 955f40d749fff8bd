//! Third-party invites that are redeemed
//! (<https://spec.matrix.org/v1.19/server-server-api/#third-party-invites>).

use std::borrow::Cow;

use freehold_canonical_json::{Object, Value, parse, string_member};
use freehold_store::Tenant;
use ruma_common::{RoomId, ServerName, UserId};
use serde_json::json;

use super::NotServed;
use crate::error::ActionError;
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::{Wanted, Work};

impl Rooms {
    /// Makes the invite for which a server brings what an identity server signed: for a user of that server, in the name of
    /// the user of the tenant who invited by third-party identifier
    /// (<https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid>).
    /// Whether the signature is one that the room knows is for the authorisation rules to say.
    ///
    /// # Errors
    /// [`NotServed`].
    pub async fn exchange_third_party_invite(
        &self,
        tenant: &Tenant,
        (origin, room_id): (&ServerName, &RoomId),
        body: &str,
    ) -> Result<(), NotServed> {
        let field = |key: &str| string_member(body, key);
        if field("type").as_deref() != Some("m.room.member")
            || field("room_id").as_deref() != Some(room_id.as_str())
        {
            return Err(NotServed::Invalid("not an invite into this room"));
        }
        let user = |key: &str| field(key).and_then(|user| UserId::parse(user).ok());
        let sender = user("sender").filter(|sender| tenant.owns(sender));
        let sender = sender.ok_or(NotServed::Invalid("the sender is none of this server"))?;
        let invitee = user("state_key").filter(|invitee| invitee.server_name() == origin);
        let invitee = invitee.ok_or(NotServed::Invalid("the invited user is not one of yours"))?;
        let mut work = Work::begin_for(self, tenant, room_id).await?;
        work.check_admitted(origin)?;
        let (signed, given) = redeemed(body, work.machine.version())?;
        let issued = work.issued_for(&signed).await?;
        drop(work);
        if let Some(issued) = &issued {
            let signed = String::from_utf8_lossy(&signed.to_canonical_vec()).into_owned();
            self.check_keys_valid(&signed, issued).await?;
        }
        let content = third_party_content(signed, issued.as_deref(), given);
        self.invite_redeemed(tenant, room_id, (&sender, &invitee), content).await
    }

    /// A user of a tenant has what an identity server signed for them: the invite is made here, if who invited is a user of a
    /// tenant, or by the server of who invited
    /// (<https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv13pidonbind>). `signed` is a JSON object.
    ///
    /// # Errors
    /// [`NotServed`].
    pub async fn redeem_third_party_invite(
        &self,
        tenant: &Tenant,
        (sender, invitee): (&UserId, &UserId),
        (room_id, signed): (&RoomId, &str),
    ) -> Result<(), NotServed> {
        if !tenant.owns(invitee) || string_member(signed, "mxid").as_deref() != Some(invitee.as_str()) {
            return Err(NotServed::Invalid("the invited user is none of this server"));
        }
        let server = sender.server_name();
        let identities = &self.0.outside.identities;
        if server != tenant.server_name() && !identities.speak(tenant, server) {
            return Err(NotServed::Failed(ActionError::NotReached(server.to_owned())));
        }
        // What they are shown instead of an address only the room knows.
        let signed: serde_json::Value = serde_json::from_str(signed)
            .map_err(|_| NotServed::Invalid("not signed by an identity server"))?;
        let invite = json!({ "display_name": invitee.localpart(), "signed": signed });
        let body = json!({
            "type": "m.room.member", "room_id": room_id, "sender": sender, "state_key": invitee,
            "content": { "membership": "invite", "third_party_invite": invite },
        });
        let body = body.to_string();
        if let Some(host) = identities.tenant(server) {
            return self.exchange_third_party_invite(&host, (tenant.server_name(), room_id), &body).await;
        }
        let answer =
            self.0.outside.remote.exchange_third_party_invite(tenant, server, (room_id, &body)).await;
        let refused = |answer| ActionError::Refused { server: server.to_owned(), answer };
        Ok(answer.map_err(refused)?)
    }

    /// Invites in the name of who invited by third-party identifier.
    async fn invite_redeemed(
        &self,
        tenant: &Tenant,
        room_id: &RoomId,
        (sender, invitee): (&UserId, &UserId),
        content: Object<'static>,
    ) -> Result<(), NotServed> {
        let done = match self.is_foreign(invitee) {
            true => self.invite_elsewhere(tenant, room_id, (sender, invitee), content).await.map(|_| ()),
            false => {
                let wanted = Wanted::state(sender, ("m.room.member", invitee.as_str()), content);
                tried!(self.try_invite_here(tenant, room_id, wanted.clone()))
            }
        };
        done.map_err(|error| match error {
            ActionError::Forbidden(denial) => NotServed::Forbidden(denial),
            error => error.into(),
        })
    }

    async fn try_invite_here(
        &self,
        tenant: &Tenant,
        room_id: &RoomId,
        wanted: Wanted,
    ) -> Result<(), ActionError> {
        let mut work = Work::begin(self, room_id).await?;
        work.append(tenant, wanted).await?;
        work.commit().await
    }
}

impl Work {
    /// The content of the `m.room.third_party_invite` that is redeemed, a JSON text, if there is one.
    async fn issued_for(&mut self, signed: &Object<'static>) -> Result<Option<String>, NotServed> {
        let Some(token) = signed.get("token").and_then(Value::as_str).map(str::to_owned) else {
            return Ok(None);
        };
        let issued = self.state_event("m.room.third_party_invite", &token).await?;
        Ok(issued.map(|issued| issued.pdu.content().to_owned()))
    }
}

/// The content of the invite, made of nothing but what a third-party invite has. What is shown instead of the address is
/// what the room was told; servers that bring the invite need not know it.
fn third_party_content(
    signed: Object<'static>,
    issued: Option<&str>,
    given: Option<String>,
) -> Object<'static> {
    let named = issued.and_then(|issued| string_member(issued, "display_name")).map(Cow::into_owned);
    let mut invite = Object::new();
    invite.insert("display_name", named.or(given).unwrap_or_default());
    invite.insert("signed", signed);
    let mut made: Object<'static> = [("membership", "invite")].into_iter().collect();
    made.insert("third_party_invite", invite);
    made
}

/// What the identity server signed, and the name that is brought with it.
fn redeemed(
    body: &str,
    version: &freehold_event::RoomVersion,
) -> Result<(Object<'static>, Option<String>), NotServed> {
    let bad = || NotServed::Invalid("not a third-party invite");
    let body =
        parse(body.as_bytes(), version.json_limits()).ok().and_then(Value::into_object).ok_or_else(bad)?;
    let content = body.get("content").and_then(Value::as_object).ok_or_else(bad)?;
    if content.get("membership").and_then(Value::as_str) != Some("invite") {
        return Err(bad());
    }
    let given = content.get("third_party_invite").and_then(Value::as_object).ok_or_else(bad)?;
    let signed = given.get("signed").cloned().and_then(Value::into_object).ok_or_else(bad)?;
    let name = given.get("display_name").and_then(Value::as_str).map(str::to_owned);
    Ok((signed.into_owned(), name))
}
