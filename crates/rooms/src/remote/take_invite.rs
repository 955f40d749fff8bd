//! Invites of users of a tenant into rooms of others, and their withdrawal
//! (<https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room>).

use freehold_canonical_json::string_member;
use freehold_event::{Pdu, RoomVersion};
use freehold_keyring::Purpose;
use freehold_signing::{SignedPdu, Signer, countersign_invite, verify_event};
use freehold_store::Tenant;
use freehold_store::tables::rooms::{Membership, PendingRow};
use ruma_common::{EventId, OwnedUserId, RoomId, ServerName, UserId};

use super::NotServed;
use super::pending::{Becomes, Standing, stripped_for};
use crate::own_choices::check_wants_invites;
use crate::rooms::Rooms;
use crate::send::tried;

/// An invite that another server sends.
#[derive(Clone, Copy, Debug)]
pub struct SentInvite<'a> {
    /// The server that sends it.
    pub origin: &'a ServerName,
    /// The room, as the path of the request names it.
    pub room_id: &'a RoomId,
    /// The id of the event, as the path of the request names it.
    pub event_id: &'a EventId,
    /// The id of the room version; for the first version of the request, "1".
    pub room_version: &'a str,
    /// The event, as a JSON text.
    pub event: &'a [u8],
    /// The entries of `invite_room_state`, as JSON texts.
    pub room_state: &'a [String],
}

impl Rooms {
    /// Takes an invite of a user of a tenant; gives the event with the tenant's signature, as a JSON text. Whether there is
    /// such a user is asked before.
    ///
    /// # Errors
    /// [`NotServed`]; nothing is signed then.
    pub async fn take_invite(&self, tenant: &Tenant, sent: SentInvite<'_>) -> Result<String, NotServed> {
        let version = RoomVersion::find(sent.room_version)
            .ok_or_else(|| NotServed::UnknownVersion(sent.room_version.to_owned()))?;
        let pdu = freehold_room::parse(sent.event, version, sent.room_id)?;
        let invitee = check_invite(&pdu, tenant, &sent)?;
        self.check_admitted_if_known(tenant, (sent.room_id, sent.origin)).await?;
        let mut told: Vec<Pdu> = Vec::new();
        if version.rules().authorization.room_create_event_id_as_room_id {
            told.extend(room_events(&sent, version)?);
        }
        let keys = self.keys_for(tenant, told.iter().chain([&pdu])).await;
        let now_ts = self.now_ts();
        let verified = |pdu: Pdu| verify_event(pdu.check_content_hash(), &keys, now_ts);
        for event in told {
            verified(event)?;
        }
        check_wants_invites(&self.0.store.snapshot()?, invitee.as_str()).await?;
        let signed = self.signed_for(tenant, (&invitee, sent.origin), &verified(pdu)?)?;
        tried!(self.try_keep_invite(tenant, &invitee, (&signed, &sent)))?;
        Ok(signed.pdu().canonical_json().to_owned())
    }

    /// The access control list of a room holds for its invites, too, if the tenant is in it
    /// (<https://spec.matrix.org/v1.19/server-server-api/#server-access-control-lists-acls>); of one in which it is not, no list is
    /// known here.
    async fn check_admitted_if_known(
        &self,
        tenant: &Tenant,
        (room_id, server): (&RoomId, &ServerName),
    ) -> Result<(), NotServed> {
        let reader = self.reader()?;
        let Some(room) = reader.room_number(room_id).await? else { return Ok(()) };
        let is_known = reader.is_in_room(tenant.number(), room).await?;
        match is_known && !reader.current_state(room).await?.admits(server).await? {
            true => Err(NotServed::ShutOut(server.to_owned())),
            false => Ok(()),
        }
    }

    /// The invite with the signature of the invited user's tenant.
    fn signed_for(
        &self,
        tenant: &Tenant,
        (invitee, origin): (&UserId, &ServerName),
        invite: &SignedPdu,
    ) -> Result<SignedPdu, NotServed> {
        let identities = &self.0.outside.identities;
        let signer = identities.signer(tenant, Purpose::Membership { user: invitee }, self.now_ts());
        let signer = signer.map_err(|error| NotServed::Failed(error.into()))?;
        let signer: &dyn Signer = &*signer;
        countersign_invite(invite, origin, &signer).map_err(|error| NotServed::Unsigned(Box::new(error)))
    }

    async fn try_keep_invite(
        &self,
        tenant: &Tenant,
        invitee: &UserId,
        (invite, sent): (&SignedPdu, &SentInvite<'_>),
    ) -> Result<(), NotServed> {
        let standing = self.standing(tenant, invitee, sent.room_id).await?;
        match standing.membership.as_ref().map(|row| row.membership) {
            Some(Membership::Join) => return Err(NotServed::MayNot("the user is in the room")),
            Some(Membership::Ban) => return Err(NotServed::MayNot("the user is banned from the room")),
            _ if standing.is_full().await? => return Err(NotServed::TooMany),
            _ => {}
        }
        let pdu = invite.pdu();
        let pending = PendingRow {
            room_version: sent.room_version.to_owned(),
            servers: vec![sent.origin.to_owned()],
            sender: pdu.sender().to_owned(),
            event: pdu.canonical_json().to_owned(),
        };
        let becomes = Becomes {
            membership: Membership::Invite,
            event: Some(pdu),
            stripped_state: stripped_for(pdu, sent.room_state),
        };
        Ok(self.become_pending(standing, becomes, Some(pending)).await?)
    }

    /// Takes the withdrawal of an invite, or the refusal of a knock, in a room that nobody here is in: a membership event
    /// `leave` or `ban` of a user of the tenant, which the server of whoever invited, or one that took the knock, sends as
    /// it sends any event. Tells whether it was one.
    ///
    /// # Errors
    /// [`NotServed`].
    pub async fn take_withdrawal(
        &self,
        tenant: &Tenant,
        (origin, room_id): (&ServerName, &RoomId),
        event: &[u8],
    ) -> Result<bool, NotServed> {
        tried!(self.try_take_withdrawal(tenant, (origin, room_id), event))
    }

    async fn try_take_withdrawal(
        &self,
        tenant: &Tenant,
        (origin, room_id): (&ServerName, &RoomId),
        event: &[u8],
    ) -> Result<bool, NotServed> {
        let target = RawTarget::of(event).filter(|user| tenant.owns(user));
        let Some(target) = target else {
            return Ok(false);
        };
        let standing = self.standing(tenant, &target, room_id).await?;
        let Some(version) =
            standing.pending.as_ref().and_then(|pending| RoomVersion::find(&pending.room_version))
        else {
            return Ok(false);
        };
        let pdu = freehold_room::parse(event, version, room_id)?;
        let Some(membership) = withdrawn(&pdu, &target, (origin, &standing)) else {
            return Ok(false);
        };
        let keys = self.keys_for(tenant, std::iter::once(&pdu)).await;
        let signed = verify_event(pdu.check_content_hash(), &keys, self.now_ts())?;
        let becomes = Becomes { membership, event: Some(signed.pdu()), stripped_state: Vec::new() };
        self.become_pending(standing, becomes, None).await?;
        Ok(true)
    }
}

/// Whose membership a text is about, before anything else is known of it.
struct RawTarget;

impl RawTarget {
    fn of(event: &[u8]) -> Option<OwnedUserId> {
        let event = std::str::from_utf8(event).ok()?;
        UserId::parse(string_member(event, "state_key")?).ok()
    }
}

/// > * The event type is not `m.room.member`.
/// > * The `membership` field inside the event content is not `invite`.
/// > * The event sender is not a user ID on the origin server.
/// > * The `state_key` is not a user ID on the receiving server.
fn check_invite(pdu: &Pdu, tenant: &Tenant, sent: &SentInvite<'_>) -> Result<OwnedUserId, NotServed> {
    if pdu.event_id() != sent.event_id {
        return Err(NotServed::Invalid("the event has another id than the path"));
    }
    if pdu.event_type() != "m.room.member"
        || string_member(pdu.content(), "membership").as_deref() != Some("invite")
    {
        return Err(NotServed::Invalid("not an invite"));
    }
    if pdu.sender().server_name() != sent.origin {
        return Err(NotServed::Invalid("the sender is not one of your users"));
    }
    let target = pdu.state_key().and_then(|target| UserId::parse(target).ok());
    target
        .filter(|user| tenant.owns(user))
        .ok_or(NotServed::Invalid("the invited user is none of this server"))
}

/// The events of the room among what came with an invite, where a room is known by its create event, which must be there.
/// Entries that are stripped already say nothing that could be checked.
fn room_events(sent: &SentInvite<'_>, version: &'static RoomVersion) -> Result<Vec<Pdu>, NotServed> {
    let is_stripped =
        |entry: &&String| freehold_canonical_json::member(entry, "signatures").ok().flatten().is_none();
    let mut events = Vec::new();
    for entry in sent.room_state.iter().filter(|entry| !is_stripped(entry)) {
        events.push(freehold_room::parse_past(entry.as_bytes(), version, sent.room_id)?);
    }
    let has_create = events.iter().any(|event| event.event_type() == "m.room.create");
    if has_create {
        Ok(events)
    } else {
        Err(NotServed::Invalid("`invite_room_state` has no `m.room.create` event"))
    }
}

/// What a user's membership becomes, if an event takes back what is pending: an invite is withdrawn by who made it, or
/// somebody of the same server; a knock is refused by anybody of a server that took it.
fn withdrawn(pdu: &Pdu, target: &UserId, (origin, standing): (&ServerName, &Standing)) -> Option<Membership> {
    let pending = standing.pending.as_ref()?;
    let membership = match string_member(pdu.content(), "membership").as_deref() {
        Some("leave") => Membership::Leave,
        Some("ban") => Membership::Ban,
        _ => return None,
    };
    let sender = pdu.sender().server_name();
    let may = match pending.sender == *target {
        true => pending.servers.iter().any(|server| server == sender),
        false => pending.sender.server_name() == sender,
    };
    let is_member = pdu.event_type() == "m.room.member" && pdu.state_key() == Some(target.as_str());
    (is_member && may && sender == origin && pdu.sender() != target).then_some(membership)
}
