//! Joining a room through a server that is in it
//! (<https://spec.matrix.org/v1.19/server-server-api/#joining-rooms>).

use freehold_signing::SignedPdu;
use freehold_store::Actor;
use ruma_common::{OwnedEventId, OwnedRoomId, OwnedServerName, RoomId};

use super::BadAnswer;
use super::import::NotTaken;
use super::own_event::OwnChange;
use super::residents::{Change, Offer, Residents};
use crate::error::ActionError;
use crate::ingest::Arrival;
use crate::membership::is_elsewhere;
use crate::outside::{Members, OwnStep, SendMembership};
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
        let answer = remote.send_join(&actor.tenant, &offer.server, send, Members::All).await;
        let mut body =
            answer.map_err(|answer| ActionError::Refused { server: offer.server.clone(), answer })?;
        let taken = async {
            let room = (own.room_id, offer.version);
            let (mut heard, keys) = self.hear(&actor.tenant, room, &mut *body).await?;
            if heard.members_omitted {
                return Err(BadAnswer::Form("members are left out, which was not asked for").into());
            }
            let joined = self.completed(actor, event, heard.event.as_deref()).await?;
            let state = self.take_told(room, &mut heard, keys).await?;
            tried_taking(self, own.room_id, &joined, &state).await
        };
        taken.await.map_err(|error| match error {
            NotTaken::Answer(source) => ActionError::BadAnswer { server: offer.server.clone(), source },
            NotTaken::Here(error) => error,
        })
    }

    /// Makes a join the newest event of a room, after the state that another server told.
    async fn try_begin_with(
        &self,
        room_id: &RoomId,
        joined: &SignedPdu,
        state: &[OwnedEventId],
    ) -> Result<(), NotTaken> {
        let mut work = Work::begin(self, room_id).await?;
        if work.locals.joined().next().is_none() {
            // Nobody here was in the room: what was current is of the past.
            work.machine = work.machine.parted();
        }
        match work.receive_foreign(joined.clone(), Arrival::New(Some(state))).await? {
            Incoming::Kept(None) => Ok(work.commit().await?),
            // It came back from a server of the room already.
            Incoming::Known => Ok(()),
            Incoming::Kept(Some(refused)) => Err(BadAnswer::Refused(Box::new(refused)).into()),
            Incoming::Unsettled(refusal) => Err(BadAnswer::Refused(Box::new(refusal)).into()),
            Incoming::BadState(error) => Err(BadAnswer::State(error).into()),
            Incoming::Dropped(dropped) => Err(BadAnswer::Refused(Box::new(dropped)).into()),
            Incoming::Fetch(_) | Incoming::Unasked => {
                Err(BadAnswer::Form("what authorises the join is not told").into())
            }
        }
    }
}

async fn tried_taking(
    rooms: &Rooms,
    room_id: &RoomId,
    joined: &SignedPdu,
    state: &[OwnedEventId],
) -> Result<(), NotTaken> {
    let mut tries = crate::send::TRIES;
    loop {
        match rooms.try_begin_with(room_id, joined, state).await {
            Err(error) if error.is_conflict() && tries > 0 => tries -= 1,
            Err(error) if error.is_conflict() => return Err(ActionError::Busy.into()),
            done => return done,
        }
    }
}
