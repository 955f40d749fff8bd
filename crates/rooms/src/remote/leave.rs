//! Knocking on rooms of others, and leaving what nobody here is in: invites refused, knocks taken back
//! (<https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites>).

use freehold_event::Pdu;
use freehold_signing::SignedEvent;
use freehold_store::Actor;
use freehold_store::tables::rooms::{Membership, PendingRow};
use ruma_common::{OwnedRoomId, OwnedServerName, RoomId};

use super::own_event::OwnChange;
use super::pending::{Becomes, stripped_for};
use super::residents::{Change, Offer, Residents};
use crate::error::ActionError;
use crate::outside::{OwnStep, SendMembership};
use crate::rooms::Rooms;
use crate::send::tried;

impl Rooms {
    /// Knocks on a room through one of some servers.
    pub(crate) async fn knock_elsewhere(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        (via, reason): (&[OwnedServerName], Option<&str>),
    ) -> Result<OwnedRoomId, ActionError> {
        if self.standing(&actor.tenant, &actor.user_id, room_id).await?.is_full().await? {
            return Err(ActionError::MayNot("you have too many invites and knocks"));
        }
        let mut residents =
            Residents::among(self, &actor.tenant, self.servers_for(actor, room_id, via).await?);
        let own = OwnChange { room_id, step: OwnStep::Knock, reason };
        while let Some(offer) = residents.offer(self, change(actor, own)).await {
            match self.knock_through(actor, own, &offer).await {
                Ok(()) => return Ok(room_id.to_owned()),
                Err(error @ ActionError::Refused { .. }) => residents.note(error),
                Err(error) => return Err(error),
            }
        }
        Err(residents.why().unwrap_or_else(|| ActionError::Elsewhere(room_id.to_owned())))
    }

    async fn knock_through(
        &self,
        actor: &Actor,
        own: OwnChange<'_>,
        offer: &Offer,
    ) -> Result<(), ActionError> {
        let event = self.own_event(actor, own, offer).await?;
        let remote = &self.0.outside.remote;
        let answer = remote.send_knock(&actor.tenant, &offer.server, sent(own, &event)).await;
        let state = answer.map_err(|answer| ActionError::Refused { server: offer.server.clone(), answer })?;
        let pending = PendingRow {
            room_version: offer.version.id().to_owned(),
            servers: vec![offer.server.clone()],
            sender: actor.user_id.clone(),
            event: event.pdu().canonical_json().to_owned(),
        };
        tried!(self.try_pend(actor, own.room_id, (event.pdu(), &pending), &state))
    }

    async fn try_pend(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        (knock, pending): (&Pdu, &PendingRow),
        state: &[String],
    ) -> Result<(), ActionError> {
        let standing = self.standing(&actor.tenant, &actor.user_id, room_id).await?;
        let becomes = Becomes {
            membership: Membership::Knock,
            event: Some(knock),
            stripped_state: stripped_for(knock, state),
        };
        self.become_pending(standing, becomes, Some(pending.clone())).await
    }

    /// Leaves a room that nobody here is in, through a server that is. If none helps, the user has left all the same, as far
    /// as is seen here.
    pub(crate) async fn leave_elsewhere(
        &self,
        actor: &Actor,
        (room_id, pending): (&RoomId, PendingRow),
        reason: Option<&str>,
    ) -> Result<(), ActionError> {
        let made_it = room_id.server_name().map(ToOwned::to_owned);
        let mut residents = Residents::among(self, &actor.tenant, pending.servers.into_iter().chain(made_it));
        let own = OwnChange { room_id, step: OwnStep::Leave, reason };
        let mut told = None;
        while let Some(offer) = residents.offer(self, change(actor, own)).await {
            let event = self.own_event(actor, own, &offer).await?;
            let remote = &self.0.outside.remote;
            if remote.send_leave(&actor.tenant, &offer.server, sent(own, &event)).await.is_ok() {
                told = Some(event);
                break;
            }
        }
        tried!(self.try_part(actor, room_id, told.as_ref().map(SignedEvent::pdu)))
    }

    async fn try_part(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        event: Option<&Pdu>,
    ) -> Result<(), ActionError> {
        let standing = self.standing(&actor.tenant, &actor.user_id, room_id).await?;
        if standing.pending.is_none() {
            return Ok(());
        }
        let becomes = Becomes { membership: Membership::Leave, event, stripped_state: Vec::new() };
        self.become_pending(standing, becomes, None).await
    }
}

fn change<'a>(actor: &'a Actor, own: OwnChange<'a>) -> Change<'a> {
    Change { tenant: &actor.tenant, room_id: own.room_id, user_id: &actor.user_id, step: own.step }
}

fn sent<'a>(own: OwnChange<'a>, event: &'a SignedEvent) -> SendMembership<'a> {
    let pdu = event.pdu();
    SendMembership { room_id: own.room_id, event_id: pdu.event_id(), event: pdu.canonical_json() }
}
