//! The one way in: what becomes of an event, and what it does to its room.

use std::sync::Arc;

use freehold_event::{FormatError, Pdu, RawPdu, ReferenceLimits, RoomVersion};
use freehold_event_auth::{PolicyServer, ReceiptCheck, Refusal, SoftFailure};
use freehold_signing::{KeySource, SignatureError, SignedPdu, verify_event, verify_events};
use freehold_state_map::{Change, Entry, NodeId};
use ruma_common::{OwnedEventId, OwnedRoomId, RoomId};

use crate::before::{GivenError, Links};
use crate::event::{Event, Standing};
use crate::room::Room;
use crate::shelf::{Shelf, Stop};

/// The numbers that an event gets before it is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Its own.
    pub event: u64,
    /// That of its type and state key, if it is a state event.
    pub state_key: Option<u64>,
}

/// How an event comes into its room.
#[derive(Clone, Copy, Debug)]
pub struct Coming<'a> {
    /// Where it stands among the events that are here.
    pub place: Place,
    /// The state before it as another server gave it, for an event of which not all `prev_events` are known: the numbers of
    /// types and state keys, with events of this room that are known and not rejected.
    pub given: Option<&'a [(u64, Entry)]>,
    /// The policy server that the room uses now, if it uses one.
    pub policy: Option<&'a PolicyServer>,
}

/// Where an event stands among those of its room that are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// It follows some, and none is known to follow it.
    New,
    /// An accepted event follows it. It is no forward extremity, and its state is behind the current one already.
    Followed,
    /// It is history that was asked for. Nothing becomes of the current state, by which it is not judged either.
    History,
}

impl Coming<'_> {
    /// After events that are known.
    pub const NEW: Coming<'static> = Coming { place: Place::New, given: None, policy: None };
}

/// What came of an event.
#[derive(Debug)]
pub enum Received {
    /// Nothing yet: other servers must be asked for these events first.
    Fetch(Fetch),
    /// A verdict, and what is to be kept.
    Receipt(Box<Receipt>),
    /// The state that a server gave does not allow it. Nothing is kept: the server may have lied.
    Unsettled(Refusal),
}

/// Events without which nothing can be said about an event. Nothing is kept of it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Of its `prev_events`.
    pub prev_events: Vec<OwnedEventId>,
    /// Of its `auth_events`.
    pub auth_events: Vec<OwnedEventId>,
}

/// A verdict on an event, and all that it changes.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The event, with its standing.
    pub event: Arc<Event>,
    /// Why it was not accepted; `None` if it was.
    pub refused: Option<Refused>,
    /// The nodes of state maps that are not in the store yet.
    pub nodes: Vec<(NodeId, Vec<u8>)>,
    /// What changed in the current state.
    pub state_changes: Vec<Change>,
    /// Those of its `prev_events` of which the state is not known here.
    pub missing_prev: Vec<OwnedEventId>,
    /// The room as it is now.
    pub room: Room,
}

/// Why an event was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is rejected.
    #[error(transparent)]
    Rejected(#[from] Refusal),
    /// It is soft-failed.
    #[error(transparent)]
    SoftFailed(#[from] SoftFailure),
}

/// Why a create event makes no room.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The authorisation rules reject it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its state cannot be made; does not happen.
    #[error(transparent)]
    Stop(#[from] Stop),
}

/// Why nothing can be said about an event.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The machine could not go on.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// The event belongs elsewhere; whoever brought it here is at fault.
    #[error("event {event_id} is of room {room_id}")]
    OtherRoom {
        /// The event.
        event_id: OwnedEventId,
        /// Its room.
        room_id: OwnedRoomId,
    },
    /// The state that a server gave is none of this room; that server is at fault.
    #[error(transparent)]
    Given(#[from] GivenError),
}

/// Why an event is dropped (checks 1 and 2 on receipt).
#[derive(Debug, thiserror::Error)]
pub enum Dropped {
    /// It is no event of a room of this version; its author is at fault.
    #[error("no well-formed event")]
    Format(#[from] FormatError),
    /// It is not signed by everybody who must; after `NoUsableKey`, a key may have to be fetched.
    #[error("not validly signed")]
    Signature(#[from] SignatureError),
    /// It belongs elsewhere; whoever brought it here is at fault.
    #[error("event {event_id} is of room {room_id}")]
    OtherRoom {
        /// The event.
        event_id: OwnedEventId,
        /// Its room.
        room_id: OwnedRoomId,
    },
}

/// Check 1 on receipt
/// (<https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>): it is an event of the room.
/// Now its id is known, by which the caller can tell whether anything more is to be done.
///
/// # Errors
/// [`Dropped`]: it is as if the event had never come.
pub fn parse(json: &[u8], version: &'static RoomVersion, room_id: &RoomId) -> Result<Pdu, Dropped> {
    parse_with(json, (version, ReferenceLimits::STRICT), room_id)
}

/// The same for an event of the room's past, for which the limits on references are others: "the response of backfill
/// MUST NOT be validated on these specific restrictions"
/// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid>).
///
/// # Errors
/// [`Dropped`]: it is as if the event had never come.
pub fn parse_past(json: &[u8], version: &'static RoomVersion, room_id: &RoomId) -> Result<Pdu, Dropped> {
    parse_with(json, (version, ReferenceLimits::BACKFILL), room_id)
}

fn parse_with(
    json: &[u8],
    (version, limits): (&'static RoomVersion, ReferenceLimits),
    room_id: &RoomId,
) -> Result<Pdu, Dropped> {
    let pdu = RawPdu::new(json).parse_with(version, limits)?;
    if pdu.room_id() == room_id {
        return Ok(pdu);
    }
    let (event_id, room_id) = (pdu.event_id().to_owned(), pdu.room_id().to_owned());
    Err(Dropped::OtherRoom { event_id, room_id })
}

/// Checks 2 and 3: signatures and hashes. `now_ms` is the time in milliseconds since the Unix epoch.
///
/// # Errors
/// [`Dropped`]: it is as if the event had never come.
pub fn verify(pdu: Pdu, keys: &impl KeySource, now_ms: i64) -> Result<SignedPdu, Dropped> {
    Ok(verify_event(pdu.check_content_hash(), keys, now_ms)?)
}

/// The same for several events at once; the answers are in their order.
pub fn verify_all(pdus: Vec<Pdu>, keys: &impl KeySource, now_ms: i64) -> Vec<Result<SignedPdu, Dropped>> {
    let hashed = pdus.into_iter().map(Pdu::check_content_hash).collect();
    verify_events(hashed, keys, now_ms).into_iter().map(|verified| Ok(verified?)).collect()
}

impl Room {
    /// Checks 4 to 7 on receipt, and what follows from them: the same for our own events and for everybody's.
    ///
    /// # Errors
    /// [`ReceiveError`]; with [`Stop::Needs`] it is to be called again.
    pub fn receive(
        &self,
        event: SignedPdu,
        numbers: Numbers,
        coming: Coming<'_>,
        shelf: &Shelf,
    ) -> Result<Received, ReceiveError> {
        self.is_of_room(&event, numbers)?;
        let links = Links::find(&event, numbers.event, shelf)?;
        let before = match self.state_before(&links, coming, shelf)? {
            Ok(before) => before,
            Err(fetch) => return Ok(Received::Fetch(fetch)),
        };
        let (event, refused) = self.judge(event, (&links, &before), coming, shelf)?;
        if let Some(Refused::Rejected(Refusal::Denied { check: ReceiptCheck::StateBefore, .. })) = &refused
            && coming.given.is_some()
            && let Some(Refused::Rejected(refusal)) = refused
        {
            return Ok(Received::Unsettled(refusal));
        }
        if event.standing == Standing::Accepted && before.follows_all && coming.place == Place::New {
            let receipt = self.appended(event, numbers.state_key, shelf)?;
            return Ok(Received::Receipt(Box::new(receipt)));
        }
        let receipt = self.merged((event, refused), before, coming.place, shelf)?;
        Ok(Received::Receipt(Box::new(receipt)))
    }

    /// An outlier: checks 4 to 7 do not speak of events that are known only as part of an auth chain or of a state, but what
    /// they name is checked as if they had just been sent: check 4. One that fails is kept as rejected, so that nothing
    /// that names it is believed. The room stays as it is.
    ///
    /// # Errors
    /// [`ReceiveError`]; with [`Stop::Needs`] it is to be called again.
    pub fn receive_outlier(
        &self,
        event: SignedPdu,
        numbers: Numbers,
        shelf: &Shelf,
    ) -> Result<Received, ReceiveError> {
        self.is_of_room(&event, numbers)?;
        let links = Links::find(&event, numbers.event, shelf)?;
        if !links.missing_auth.is_empty() {
            return Ok(Received::Fetch(Fetch { prev_events: Vec::new(), auth_events: links.missing_auth }));
        }
        let (event, refused) = self.judge_outlier(event, &links, shelf)?;
        let receipt = Receipt {
            event: Arc::new(event),
            refused,
            nodes: Vec::new(),
            state_changes: Vec::new(),
            missing_prev: Vec::new(),
            room: self.clone(),
        };
        Ok(Received::Receipt(Box::new(receipt)))
    }

    /// Whether an event is one of the room. There is one create event in it, whatever the server of its creator says later.
    fn is_of_room(&self, event: &SignedPdu, numbers: Numbers) -> Result<(), ReceiveError> {
        let pdu = event.pdu();
        let is_create = pdu.event_type() == "m.room.create" && pdu.state_key() == Some("");
        if pdu.room_id() == self.room_id && (!is_create || numbers.event == self.create) {
            return Ok(());
        }
        let (event_id, room_id) = (pdu.event_id().to_owned(), pdu.room_id().to_owned());
        Err(ReceiveError::OtherRoom { event_id, room_id })
    }
}
