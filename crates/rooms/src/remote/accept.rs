//! Membership events of users of other servers, sent to a tenant that is in the room.

use freehold_canonical_json::string_member;
use freehold_event::Pdu;
use freehold_keyring::Purpose;
use freehold_room::{Dropped, Refused};
use freehold_signing::{SignedPdu, Signer, countersign_join};
use freehold_store::{EventNumber, Tenant};
use ruma_common::{EventId, RoomId, ServerName, UserId};

use super::{JoinAnswer, NotServed};
use crate::error::ActionError;
use crate::ingest::Arrival;
use crate::membership::AUTHORISER;
use crate::outside::{Members, OwnStep};
use crate::read::StoredEvent;
use crate::receive::Incoming;
use crate::rooms::Rooms;
use crate::send::{event_in_room, tried};
use crate::work::Work;

/// A membership event that another server sends.
#[derive(Clone, Copy, Debug)]
pub struct SentMembership<'a> {
    /// The server that sends it.
    pub origin: &'a ServerName,
    /// The room, as the path of the request names it.
    pub room_id: &'a RoomId,
    /// The id of the event, as the path of the request names it.
    pub event_id: &'a EventId,
    /// What the request is for.
    pub step: OwnStep,
    /// The event, as a JSON text.
    pub event: &'a [u8],
}

/// A membership event that was taken, or had been before.
#[derive(Clone, Debug)]
pub struct Accepted {
    rooms: Rooms,
    tenant: Tenant,
    event: EventNumber,
}

impl Accepted {
    /// The event, with all its signatures.
    ///
    /// # Errors
    /// [`NotServed::Failed`].
    pub async fn event(&self) -> Result<std::sync::Arc<StoredEvent>, NotServed> {
        Ok(self.rooms.reader().map_err(crate::read::Unreadable::from)?.event(self.event).await?)
    }

    /// The answer to a join.
    ///
    /// # Errors
    /// [`NotServed::Failed`].
    pub async fn join_answer(&self, members: Members) -> Result<JoinAnswer, NotServed> {
        let reader = self.rooms.reader().map_err(crate::read::Unreadable::from)?;
        Ok(JoinAnswer::of(reader, self.tenant.server_name(), self.event, members).await?)
    }

    /// The `knock_room_state` of the answer to a knock, as JSON texts: events as they are in the room.
    ///
    /// # Errors
    /// [`NotServed::Failed`].
    pub async fn knock_state(&self) -> Result<Vec<String>, NotServed> {
        let reader = self.rooms.reader().map_err(crate::read::Unreadable::from)?;
        let event = reader.event(self.event).await?;
        Ok(reader.state_before(&event).await?.stripped_pdus().await?)
    }
}

impl Rooms {
    /// Takes a membership event of a user of another server, as of a tenant that is in the room, and sends it on to the
    /// other servers there:
    /// [`send_join`](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid),
    /// `send_leave`, `send_knock`. The tenant adds its signature where its user authorises a restricted join. An event
    /// that is known is not judged again.
    ///
    /// # Errors
    /// [`NotServed`]; nothing is kept of the event then.
    pub async fn accept_membership(
        &self,
        tenant: &Tenant,
        sent: SentMembership<'_>,
    ) -> Result<Accepted, NotServed> {
        tried!(self.try_accept(tenant, sent))
    }

    async fn try_accept(&self, tenant: &Tenant, sent: SentMembership<'_>) -> Result<Accepted, NotServed> {
        let mut work = Work::begin_for(self, tenant, sent.room_id).await?;
        work.check_admitted(sent.origin)?;
        let pdu = freehold_room::parse(sent.event, work.machine.version(), sent.room_id)?;
        check_kind(&pdu, &sent)?;
        let accepted = |event| Accepted { rooms: self.clone(), tenant: tenant.clone(), event };
        if let Some(known) = work.known(pdu.event_id()).await? {
            return Ok(accepted(known));
        }
        let policy = work.policy_server_to_ask(&pdu).await?;
        if policy.is_some() {
            // A policy server is asked about nothing that comes to nothing anyway.
            work.check_allowed(&pdu).await?;
        }
        // Others may take minutes to say what their keys are: nobody waits for them.
        drop(work);
        let keys = self.keys_for(tenant, std::iter::once(&pdu)).await;
        let recommendation = match &policy {
            Some(policy) => Some(self.recommendation(tenant, policy, &pdu).await.map_err(not_recommended)?),
            None => None,
        };
        let mut work = Work::begin_for(self, tenant, sent.room_id).await?;
        let signed = work.signed_membership(tenant, (pdu, sent.origin), &keys).await?;
        let signed = match recommendation {
            Some(recommendation) => recommendation.on(signed),
            None => signed,
        };
        match work.receive_foreign(signed, Arrival::New(None)).await? {
            Incoming::Kept(None) => {}
            Incoming::Kept(Some(refused)) => return Err(denied(refused)),
            Incoming::Fetch(_) => {
                return Err(NotServed::Invalid("the event names events that are not known"));
            }
            _ => return Err(NotServed::Invalid("not an event to be taken")),
        }
        let Some(event) = work.staged.last().map(|receipt| std::sync::Arc::clone(&receipt.event)) else {
            return Err(NotServed::Invalid("not an event to be taken"));
        };
        work.send_out(tenant, &event);
        work.commit().await?;
        Ok(accepted(EventNumber(event.number)))
    }
}

/// > * The event type is not `m.room.member`.
/// > * The `membership` field inside the event content is not `join`.
/// > * The event sender is not a user ID on the origin server.
/// > * The `state_key` is not equal to the `sender`.
fn check_kind(pdu: &Pdu, sent: &SentMembership<'_>) -> Result<(), NotServed> {
    if pdu.event_id() != sent.event_id {
        return Err(NotServed::Invalid("the event has another id than the path"));
    }
    if pdu.event_type() != "m.room.member"
        || string_member(pdu.content(), "membership").as_deref() != Some(sent.step.membership())
    {
        return Err(NotServed::Invalid("not an event of the kind that is sent here"));
    }
    if pdu.sender().server_name() != sent.origin {
        return Err(NotServed::Invalid("the sender is not one of your users"));
    }
    if pdu.state_key() != Some(pdu.sender().as_str()) {
        return Err(NotServed::Invalid("the event is about somebody else"));
    }
    Ok(())
}

impl Work {
    /// The number of an event of the room, if it was accepted here.
    async fn known(&self, event_id: &EventId) -> Result<Option<EventNumber>, NotServed> {
        let Some(number) = event_in_room(&self.snapshot, self.number, event_id).await? else {
            return Ok(None);
        };
        let event = self.rooms.reader_at(self.snapshot.clone()).event(number).await?;
        Ok(event.is_accepted().then_some(number))
    }

    /// Verifies a membership event; where a user of the tenant authorises it, the tenant signs it, if it would have
    /// chosen anybody.
    async fn signed_membership(
        &mut self,
        tenant: &Tenant,
        (pdu, origin): (Pdu, &ServerName),
        keys: &(impl freehold_signing::KeySource + Sync),
    ) -> Result<SignedPdu, NotServed> {
        let now_ts = self.rooms.now_ts();
        let wants = self.machine.version().rules().signatures.check_join_authorised_via_users_server;
        let Some(authoriser) = string_member(pdu.content(), AUTHORISER).filter(|_| wants) else {
            return Ok(freehold_room::verify(pdu, &keys, now_ts)?);
        };
        let authoriser = UserId::parse(authoriser).ok().filter(|user| tenant.owns(user));
        let authoriser = authoriser.ok_or(NotServed::Invalid("authorised by nobody of this server"))?;
        let user_id = pdu.sender().to_owned();
        if self.authoriser_for(tenant, &user_id).await?.is_none() {
            // A join that needs nobody's authority gets nobody's.
            return Err(NotServed::Invalid("the join needs no authority"));
        }
        self.check_allowed(&pdu).await?;
        let identities = &self.rooms.0.outside.identities;
        let signer = identities.signer(tenant, Purpose::Membership { user: &authoriser }, now_ts);
        let signer = signer.map_err(|error| NotServed::Failed(error.into()))?;
        let signer: &dyn Signer = &*signer;
        countersign_join(&pdu.check_content_hash(), origin, &signer, &keys, now_ts)
            .map_err(|error| NotServed::Unsigned(Box::new(error)))
    }
}

/// Who has not been in the room does not know of its policy server, which is asked by the server that lets them in. Without its
/// word nobody in the room would show the event.
fn not_recommended(error: ActionError) -> NotServed {
    match error {
        ActionError::Refused { .. } => NotServed::MayNot(NOT_RECOMMENDED),
        error => error.into(),
    }
}

const NOT_RECOMMENDED: &str = "the policy of the room does not allow it";

fn denied(refused: Refused) -> NotServed {
    use freehold_event_auth::{Refusal, SoftFailure};
    match refused {
        Refused::Rejected(Refusal::Denied { denial, .. })
        | Refused::SoftFailed(SoftFailure::Denied(denial)) => NotServed::Forbidden(denial),
        Refused::Rejected(_) => NotServed::Invalid("the event is over the limits of the specification"),
        Refused::SoftFailed(_) => NotServed::MayNot(NOT_RECOMMENDED),
    }
}

impl From<freehold_signing::SignatureError> for NotServed {
    fn from(error: freehold_signing::SignatureError) -> Self {
        NotServed::BadEvent(Dropped::Signature(error))
    }
}
