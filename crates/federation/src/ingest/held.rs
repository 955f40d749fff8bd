//! Events of rooms of which only a few members are known: they are held, and taken once all are.

use std::sync::Arc;

use freehold_rooms::{ActionError, HeldEvent, Hold, RoomFacts};
use freehold_store::Tenant;
use ruma_common::OwnedServerName;

use super::driver::{Ingest, Inner, TakeError, Taken, Visit, wanted_by};
use super::flight::Piece;
use super::together::Keys;
use crate::limits::TAKEN_MAX;

/// What becomes of held events for which something is missing that nobody gives now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanting {
    /// They stay: it may be given later.
    Waits,
    /// They go, as if they had come now. Whoever follows them has them fetched.
    GivenUp,
}

/// Whether there is anything left of what was held of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldLeft {
    /// Nothing.
    Nothing,
    /// Something, for which to try again.
    Something,
}

impl Inner {
    /// Holds events of a room of which only a few members are known, as far as they are well-formed and signed; what came of each,
    /// in their order. `None` if all members are known.
    pub(super) async fn held_back(
        &self,
        visit: &Visit<'_>,
        pieces: &[&Piece],
    ) -> Result<Option<Vec<Result<Taken, TakeError>>>, ActionError> {
        let rooms = &self.parts.rooms;
        if pieces.is_empty() || !rooms.is_partial_now(visit.room.number).await? {
            return Ok(None);
        }
        let keys: Keys = self.keys(wanted_by(pieces.iter().map(|piece| &*piece.pdu))).await.into();
        let pdus = pieces.iter().map(|piece| (*piece.pdu).clone()).collect();
        let (mut signed, mut dropped) = (Vec::with_capacity(pieces.len()), Vec::new());
        for verified in self.verified(pdus, &keys).await? {
            dropped.push(verified.map(|event| signed.push(event)).err());
        }
        let Some(holds) = rooms.hold(visit.room.number, visit.origin, &signed).await? else {
            return Ok(None);
        };
        let mut holds = holds.into_iter();
        let answers = dropped.into_iter().map(|dropped| match (dropped, &mut holds) {
            (Some(dropped), _) => Err(TakeError::Dropped(dropped)),
            (None, holds) => match holds.next() {
                Some(Hold::Held) => Ok(Taken::Held),
                Some(Hold::Full) | None => Err(TakeError::Partial),
            },
        });
        Ok(Some(answers.collect()))
    }
}

impl Ingest {
    /// Takes what was held of a room that is whole now, from the oldest, a few events at a time: those of which something was said
    /// are held no longer. Then servers are asked for their newest event of whose events some were too many.
    pub(crate) async fn take_held(
        &self,
        room: &Arc<RoomFacts>,
        wanting: Wanting,
    ) -> Result<HeldLeft, ActionError> {
        let rooms = self.rooms();
        let reader = rooms.reader()?;
        let Some(held) = reader.held_of(room.number).await? else { return Ok(HeldLeft::Nothing) };
        let tenant = reader.tenants_in(room.number).await?.into_iter().next();
        drop(reader);
        let (mut after, mut left) = (None, HeldLeft::Nothing);
        loop {
            let events = rooms.held(room.number, after.as_ref(), TAKEN_MAX).await?;
            let Some(last) = events.last() else { break };
            after = Some(last.clone());
            for some in events.chunk_by(|one, other| one.origin == other.origin) {
                let done = match &tenant {
                    Some(tenant) => self.take_again((tenant, room), some, wanting).await,
                    // Nobody here is in the room any more.
                    None => some.to_vec(),
                };
                if done.len() < some.len() {
                    left = HeldLeft::Something;
                }
                rooms.release(room.number, &done).await?;
            }
        }
        if left == HeldLeft::Nothing {
            self.ask_turned_away(room, tenant.as_ref(), held.turned_away).await?;
        }
        Ok(left)
    }

    /// Takes events that one server brought while not all members of the room were known; gives those of which something was said.
    async fn take_again(
        &self,
        (tenant, room): (&Tenant, &Arc<RoomFacts>),
        events: &[HeldEvent],
        wanting: Wanting,
    ) -> Vec<HeldEvent> {
        let Some(first) = events.first() else { return Vec::new() };
        // That the server may speak in the room was asked when it did.
        let visit = Visit { tenant, origin: &first.origin, room: Arc::clone(room) };
        let texts = events.iter().map(|event| event.json.clone()).collect();
        let taken = self.0.take_from(&visit, texts).await;
        // Then what is said of the others may be for want of what failed.
        let has_failed = taken.iter().any(|(_, taken)| matches!(taken, Err(TakeError::Here(_))));
        let is_done = |taken: &Result<Taken, TakeError>| match taken {
            Ok(taken) => !matches!(taken, Taken::Held),
            Err(_) if has_failed => false,
            Err(TakeError::Partial | TakeError::TooMany) => false,
            Err(TakeError::Missing(_) | TakeError::Waiting | TakeError::Later) => wanting == Wanting::GivenUp,
            Err(_) => true,
        };
        let done = events.iter().zip(taken).filter(|(_, (_, taken))| is_done(taken));
        done.map(|(event, _)| event.clone()).collect()
    }

    async fn ask_turned_away(
        &self,
        room: &Arc<RoomFacts>,
        tenant: Option<&Tenant>,
        servers: Vec<OwnedServerName>,
    ) -> Result<(), ActionError> {
        if let Some(tenant) = tenant {
            for server in servers {
                if let Err(error) = self.catch_up_with(tenant, room, &server).await {
                    tracing::debug!(room_id = %room.room_id, %server, %error, "what was too much is not told again");
                }
            }
        }
        self.rooms().end_hold(room.number).await
    }
}
