//! Joining a room through a server that is in it
//! (<https://spec.matrix.org/v1.19/server-server-api/#joining-rooms>).

use std::sync::Arc;

use freehold_signing::SignedPdu;
use freehold_store::{Actor, EventNumber};
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, RoomId};

use super::BadAnswer;
use super::import::NotTaken;
use super::own_event::OwnChange;
use super::residents::{Change, Offer, Residents};
use crate::error::ActionError;
use crate::ingest::Arrival;
use crate::membership::is_elsewhere;
use crate::outside::{Members, OwnStep, SendMembership};
use crate::partial::Said;
use crate::receive::Incoming;
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::Work;

impl Rooms {
    /// Joins a room through one of some servers. One user of a tenant at a time does so for a room: who comes next may
    /// find it known here by then.
    pub(crate) async fn join_elsewhere(
        &self,
        actor: &Actor,
        room_id: &RoomId,
        (via, reason): (&[OwnedServerName], Option<&str>),
    ) -> Result<OwnedRoomId, ActionError> {
        let turn = self.turn(room_id);
        let _turn = turn.lock().await;
        let here = match tried!(self.try_enter(actor, room_id, (via, reason), "join")) {
            Err(error) if is_elsewhere(&error) => error,
            done => return done,
        };
        let mut residents =
            Residents::among(self, &actor.tenant, self.servers_for(actor, room_id, via).await?);
        let change = Change { tenant: &actor.tenant, room_id, user_id: &actor.user_id, step: OwnStep::Join };
        let own = OwnChange { room_id, step: OwnStep::Join, reason };
        while let Some(offer) = residents.offer(self, change).await {
            match self.join_through(actor, own, &offer).await {
                Ok(()) => return Ok(room_id.to_owned()),
                Err(error @ (ActionError::Refused { .. } | ActionError::BadAnswer { .. })) => {
                    residents.note(error)
                }
                Err(error) => return Err(error),
            }
        }
        Err(residents.why().unwrap_or(here))
    }

    async fn join_through(
        &self,
        actor: &Actor,
        own: OwnChange<'_>,
        offer: &Offer,
    ) -> Result<(), ActionError> {
        let event = self.own_event(actor, own, offer).await?;
        let send = SendMembership {
            room_id: own.room_id,
            event_id: event.pdu().event_id(),
            event: event.pdu().canonical_json(),
        };
        let remote = &self.0.outside.remote;
        let members = self.members_to_ask_for(own.room_id).await?;
        let answer = remote.send_join(&actor.tenant, &offer.server, send, members).await;
        let mut body =
            answer.map_err(|answer| ActionError::Refused { server: offer.server.clone(), answer })?;
        let taken = async {
            let room = (own.room_id, offer.version);
            let (mut heard, keys) = self.hear(&actor.tenant, room, &mut *body).await?;
            if heard.members_omitted && members == Members::All {
                return Err(BadAnswer::Form("members are left out, which was not asked for").into());
            }
            let joined = self.completed(actor, event, heard.event.as_deref()).await?;
            let mut said = Said::by(&offer.server, &mut heard);
            let mut state = self.take_told(room, &mut heard, keys).await?;
            if heard.members_omitted {
                state = self.with_cited_members(joined.pdu(), state).await?;
            }
            said.lacking = std::mem::take(&mut heard.lacking);
            tried!(self.try_begin_with(own.room_id, &joined, (&state, &said)))
        };
        taken.await.map_err(|error| match error {
            NotTaken::Answer(source) => ActionError::BadAnswer { server: offer.server.clone(), source },
            NotTaken::Here(error) => error,
        })
    }

    /// Makes a join the newest event of a room, after the state that another server told, from which members may be omitted.
    async fn try_begin_with(
        &self,
        room_id: &RoomId,
        joined: &SignedPdu,
        (state, said): (&[OwnedEventId], &Said),
    ) -> Result<(), NotTaken> {
        let mut work = Work::begin(self, room_id).await?;
        let mut partial_before = None;
        if work.locals.joined().next().is_none() {
            // Nobody here was in the room: what was current is of the past.
            work.machine = work.machine.parted();
            partial_before = work.part_partial().await?;
            work.forget_lacking().await?;
        }
        match work.receive_foreign(joined.clone(), Arrival::New(Some(state))).await? {
            Incoming::Kept(None) => {
                if let Some(join) = work.staged.last().map(|receipt| Arc::clone(&receipt.event)) {
                    work.becomes_partial(&join, said, partial_before);
                    work.lacks(EventNumber(join.number), &said.lacking);
                }
                Ok(work.commit().await?)
            }
            // It came back from a server of the room already.
            Incoming::Known => Ok(()),
            Incoming::RefusedBefore => {
                Err(BadAnswer::Form("the join was refused when it came before").into())
            }
            Incoming::Kept(Some(refused)) => Err(BadAnswer::Refused(Box::new(refused)).into()),
            Incoming::Unsettled(refusal) => Err(BadAnswer::Refused(Box::new(refusal)).into()),
            Incoming::BadState(error) => Err(BadAnswer::State(error).into()),
            Incoming::Dropped(dropped) => Err(BadAnswer::Refused(Box::new(dropped)).into()),
            // Not even what authorises it could be verified.
            Incoming::Fetch(_) if !said.lacking.is_empty() => {
                Err(BadAnswer::Unverified(said.lacking.len()).into())
            }
            Incoming::Lacking | Incoming::Fetch(_) | Incoming::Unasked => {
                Err(BadAnswer::Form("what authorises the join is not told").into())
            }
        }
    }
}
