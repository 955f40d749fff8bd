//! Events that were made elsewhere: the one way in.

use freehold_event::Pdu;
use freehold_event_auth::Refusal;
use freehold_room::{Dropped, Fetch, GivenError, Refused, ServerAcl};
use freehold_signing::{KeySource, Signature};
use ruma_common::{OwnedEventId, RoomId, ServerName};

use crate::error::ActionError;
use crate::ingest::{Arrival, Checked, Known, past};
use crate::limits::BATCH_MAX;
use crate::rooms::Rooms;
use crate::send::tried;

/// What came of an event that was made elsewhere.
#[derive(Debug)]
pub enum Incoming {
    /// It was known already; nothing was checked.
    Known,
    /// The same, and it had not been accepted: to those who bring it, it is what it was when it came first.
    RefusedBefore,
    /// It is kept. `None` when it was accepted; otherwise it is not shown.
    Kept(Option<Refused>),
    /// Nothing yet: other servers must be asked for these events first.
    Fetch(Fetch),
    /// It is as if it had never come.
    Dropped(Dropped),
    /// The state that a server gave does not allow it; nothing is kept, because the server may have lied.
    Unsettled(Refusal),
    /// It is not allowed by what is known of the state, of which part could not be verified yet; nothing is kept.
    Lacking,
    /// What a server gave as the state before it is no state of the room; nothing is kept.
    BadState(GivenError),
    /// It came as history and precedes nothing that is here.
    Unasked,
}

impl Incoming {
    /// Whether the event is here now, with its state.
    pub fn is_here(&self) -> bool {
        matches!(self, Incoming::Known | Incoming::RefusedBefore | Incoming::Kept(_))
    }
}

/// An event that another server made, with what was learnt about it.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The event in federation format.
    pub json: &'a [u8],
    /// The state before it as another server gave it, for one of which not all `prev_events` can be had.
    pub state: Option<&'a [OwnedEventId]>,
    /// The signature that the room's policy server gave when it was asked about the event.
    pub policy: Option<(&'a ServerName, &'a Signature)>,
}

/// What there is to say of an event before its room is locked.
#[derive(Clone, Debug)]
pub enum Look {
    /// It is known.
    Known(OwnedEventId),
    /// It is known, and was not accepted.
    Refused(OwnedEventId),
    /// It is well-formed and not known.
    New(Box<Pdu>),
}

/// An event of the time before what is here.
#[derive(Clone, Copy, Debug)]
pub struct PastEvent<'a> {
    /// The event in federation format.
    pub json: &'a [u8],
    /// The state before it as another server gave it; for those whose `prev_events` are not to be had.
    pub state: Option<&'a [OwnedEventId]>,
}

impl Rooms {
    /// Receives an event of a room, in federation format: all
    /// [checks on receipt](https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu), and
    /// what follows from them. Whether the server that brought it may speak in the room is asked before, of
    /// [`Rooms::admits`].
    ///
    /// One that is known is answered without waiting for the room and without a look at its signatures.
    ///
    /// # Errors
    /// [`ActionError::UnknownRoom`], and those of the store. What is wrong with the event is in the answer.
    pub async fn receive(
        &self,
        room_id: &RoomId,
        json: &[u8],
        keys: &(dyn KeySource + Sync),
    ) -> Result<Incoming, ActionError> {
        self.deliver(room_id, Delivery { json, state: None, policy: None }, keys).await
    }

    /// Receives an event as [`Rooms::receive`] does, with what was learnt about it.
    ///
    /// The events of a given state are known ([`Rooms::receive_outliers`]); those that are not are in the answer. What was
    /// rejected counts for nothing in it, and what is known here of the state is resolved with it.
    ///
    /// # Errors
    /// As those of [`Rooms::receive`].
    pub async fn deliver(
        &self,
        room_id: &RoomId,
        delivery: Delivery<'_>,
        keys: &(dyn KeySource + Sync),
    ) -> Result<Incoming, ActionError> {
        tried!(self.try_receive(room_id, delivery, keys))
    }

    /// Looks at an event before anything is done about it: whose keys are needed, what it follows, whether it is known.
    ///
    /// # Errors
    /// As those of [`Rooms::receive`]; the inner one is about the event.
    pub async fn look_at(&self, room_id: &RoomId, json: &[u8]) -> Result<Result<Look, Dropped>, ActionError> {
        self.entrance(room_id, Known::Settled).await?.look(json, freehold_room::parse_past).await
    }

    /// Looks at several events, as [`Rooms::look_at`] does, with the limits on references that new events have.
    ///
    /// # Errors
    /// As those of [`Rooms::receive`]; the inner ones are about single events.
    pub async fn look_at_new(
        &self,
        room_id: &RoomId,
        events: &[&[u8]],
    ) -> Result<Vec<Result<Look, Dropped>>, ActionError> {
        self.entrance(room_id, Known::Settled).await?.look_at_all(events, freehold_room::parse).await
    }

    async fn try_receive(
        &self,
        room_id: &RoomId,
        delivery: Delivery<'_>,
        keys: &(dyn KeySource + Sync),
    ) -> Result<Incoming, ActionError> {
        let entrance = self.entrance(room_id, Known::Settled).await?;
        let mut signed = match entrance.check(delivery.json, freehold_room::parse, keys).await? {
            Checked::Signed(signed) => *signed,
            Checked::Done(incoming) => return Ok(incoming),
        };
        if let Some((server, signature)) = delivery.policy
            && let Ok(recommended) = signed.with_policy_signature(server, signature)
        {
            signed = recommended;
        }
        // The room is not locked before here.
        self.receive_alone(room_id, signed, Arrival::New(delivery.state)).await
    }

    /// Receives events as parts of auth chains and of states that others gave: checked by their own auth events, kept,
    /// never shown, never followed by events of ours. Those that name others of the list come after them, whatever the order of the
    /// list. The answers are in its order.
    ///
    /// # Errors
    /// As those of [`Rooms::receive`].
    pub async fn receive_outliers(
        &self,
        room_id: &RoomId,
        events: &[&[u8]],
        keys: &(dyn KeySource + Sync),
    ) -> Result<Vec<Incoming>, ActionError> {
        let entrance = self.entrance(room_id, Known::AtAll).await?;
        let mut list = entrance.check_all(events, freehold_room::parse_past, keys).await?;
        let ordered = list.take_in_order(|pdu| pdu.auth_events());
        for chunk in ordered.chunks(BATCH_MAX) {
            let done = tried!(self.try_receive_outliers(room_id, chunk))?;
            list.settle(done);
        }
        Ok(list.into_answers())
    }

    /// Receives history: events before what is here, in any order. They come before everything else in the timeline, change
    /// nothing about the present, and nobody is woken. What does not precede anything that is here is not taken. The answers are in the
    /// order of the list.
    ///
    /// # Errors
    /// As those of [`Rooms::receive`].
    pub async fn receive_backfilled(
        &self,
        room_id: &RoomId,
        events: &[PastEvent<'_>],
        keys: &(dyn KeySource + Sync),
    ) -> Result<Vec<Incoming>, ActionError> {
        let entrance = self.entrance(room_id, Known::Settled).await?;
        let texts: Vec<&[u8]> = events.iter().map(|event| event.json).collect();
        let mut list = entrance.check_all(&texts, freehold_room::parse_past, keys).await?;
        let mut ordered = list.take_in_order(|pdu| pdu.prev_events());
        let wanted = past::preceding(&entrance, &ordered).await?;
        // In one change: what is older is judged first, and stands further in front. Of too many, the newest.
        let surplus = ordered.len().saturating_sub(BATCH_MAX);
        let unasked = ordered.drain(..surplus).map(|(place, _)| (place, Incoming::Unasked)).collect();
        list.settle(unasked);
        let done = tried!(self.try_receive_backfilled(room_id, &ordered, (&wanted, events)))?;
        list.settle(done);
        Ok(list.into_answers())
    }

    /// Whether a room lets a server speak. A room that is not known here lets nobody.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn admits(&self, room_id: &RoomId, server: &ServerName) -> Result<bool, ActionError> {
        let reader = self.reader()?;
        let Some(room) = reader.room_number(room_id).await? else {
            return Ok(false);
        };
        let state = reader.current_state(room).await?;
        Ok(!state.is_empty() && state.admits(server).await?)
    }
}

impl crate::read::RoomState {
    /// Whether the access control list in this state lets a server speak.
    ///
    /// # Errors
    /// [`Unreadable`](crate::Unreadable).
    pub async fn admits(&self, server: &ServerName) -> Result<bool, crate::Unreadable> {
        let acl = self.get("m.room.server_acl", "").await?;
        let acl = acl.map_or_else(ServerAcl::default, |event| ServerAcl::of_content(event.pdu.content()));
        Ok(acl.allows(server))
    }
}
