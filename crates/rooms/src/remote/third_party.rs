//! Third-party invites that are redeemed
//! (<https://spec.matrix.org/v1.19/server-server-api/#third-party-invites>).

use freehold_canonical_json::{Object, Value, parse};
use freehold_store::Tenant;
use ruma_common::{RoomId, ServerName, UserId};

use super::NotServed;
use super::accept::text;
use crate::error::ActionError;
use crate::rooms::Rooms;
use crate::work::Work;

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
        let field = |key: &str| text(body, key);
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
        let work = Work::begin_for(self, tenant, room_id).await?;
        work.check_admitted(origin, crate::outside::OwnStep::Join)?;
        let content = content_of(body, work.machine.version())?;
        drop(work);
        let done = self.invite_elsewhere(tenant, room_id, (&sender, &invitee), content).await;
        done.map(|_| ()).map_err(|error| match error {
            ActionError::Forbidden(denial) => NotServed::Forbidden(denial),
            error => error.into(),
        })
    }
}

/// The content of the invite, made of nothing but what a third-party invite has.
fn content_of(body: &str, version: &freehold_event::RoomVersion) -> Result<Object<'static>, NotServed> {
    let bad = || NotServed::Invalid("not a third-party invite");
    let body =
        parse(body.as_bytes(), version.json_limits()).ok().and_then(Value::into_object).ok_or_else(bad)?;
    let content = body.get("content").and_then(Value::as_object).ok_or_else(bad)?;
    if content.get("membership").and_then(Value::as_str) != Some("invite") {
        return Err(bad());
    }
    let given = content.get("third_party_invite").and_then(Value::as_object).ok_or_else(bad)?;
    let mut invite = Object::new();
    for key in ["display_name", "signed"] {
        let value = given.get(key).ok_or_else(bad)?;
        invite.insert(key, value.clone().into_owned());
    }
    let mut made: Object<'static> = [("membership", "invite")].into_iter().collect();
    made.insert("third_party_invite", invite);
    Ok(made)
}
