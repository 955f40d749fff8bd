//! The one way in: what becomes of an event, and what it does to its room.

use std::sync::Arc;

use freehold_event::{EventView, FormatError, Pdu, RawPdu, ReferenceLimits};
use freehold_event_auth::{AuthorizedPdu, NamedAuthEvents, Refusal, SoftFailure};
use freehold_signing::{KeySource, SignatureError, SignedPdu, verify_event};
use freehold_state_map::{Change, Entry, NodeId, StateMap};
use freehold_state_res::generation_above;
use ruma_common::{OwnedEventId, OwnedRoomId};

use crate::event::{Event, Standing};
use crate::resolve::resolved;
use crate::room::{Extremity, Facts, Room, state_after};
use crate::shelf::{Shelf, Stop};

/// The numbers that an event gets before it is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Its own.
    pub event: u64,
    /// That of its type and state key, if it is a state event.
    pub state_key: Option<u64>,
}

/// What came of an event.
#[derive(Debug)]
pub enum Received {
    /// Nothing yet: other servers must be asked for these events first.
    Fetch(Fetch),
    /// A verdict, and what is to be kept.
    Receipt(Box<Receipt>),
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

impl Room {
    /// Check 1 on receipt
    /// (<https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>): it is an event of the
    /// room. Now its id is known, by which the caller can tell whether anything more is to be done.
    ///
    /// # Errors
    /// [`Dropped`]: it is as if the event had never come.
    pub fn parse(&self, json: &[u8]) -> Result<Pdu, Dropped> {
        let pdu = RawPdu::new(json).parse_with(self.version, ReferenceLimits::STRICT)?;
        if pdu.room_id() != self.room_id {
            let (event_id, room_id) = (pdu.event_id().to_owned(), pdu.room_id().to_owned());
            return Err(Dropped::OtherRoom { event_id, room_id });
        }
        Ok(pdu)
    }

    /// Checks 2 and 3: signatures and hashes. `now_ms` is the time in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`Dropped`]: it is as if the event had never come.
    pub fn verify(&self, pdu: Pdu, keys: &impl KeySource, now_ms: i64) -> Result<SignedPdu, Dropped> {
        Ok(verify_event(pdu.check_content_hash(), keys, now_ms)?)
    }

    /// A new room, out of its create event.
    ///
    /// # Errors
    /// [`CreateError`].
    pub fn create_from(create: SignedPdu, numbers: Numbers) -> Result<Receipt, CreateError> {
        let version = create.pdu().version();
        let facts = Facts::none(version);
        let named: NamedAuthEvents<'_, u64> = NamedAuthEvents { auth_events: &[], create: None };
        let authorized =
            AuthorizedPdu::check(create, &named, &facts.auth).map_err(|unauthorized| unauthorized.refusal)?;
        let pdu = authorized.into_signed().into_hashed().into_pdu();
        let room_id = pdu.room_id().to_owned();
        let before = StateMap::new();
        let event = Event {
            number: numbers.event,
            pdu,
            prev_events: Vec::new(),
            auth_events: Vec::new(),
            generation: 0,
            standing: Standing::Accepted,
            state_before: Some(before.root_id()),
        };
        let room =
            Room { version, room_id, create: numbers.event, state: before, facts, extremities: Vec::new() };
        let shelf = Shelf::new();
        let mut nodes = shelf.nodes();
        room.state.save(&mut nodes).map_err(Stop::from)?;
        let mut receipt = room.appended(event, numbers.state_key, &shelf)?;
        receipt.nodes.extend(nodes.into_made());
        Ok(receipt)
    }

    /// Checks 4 to 6 on receipt, and what follows from them: the same for our own events and for everybody's.
    ///
    /// # Errors
    /// [`ReceiveError`]; with [`Stop::Needs`] it is to be called again.
    pub fn receive(
        &self,
        event: SignedPdu,
        numbers: Numbers,
        shelf: &Shelf,
    ) -> Result<Received, ReceiveError> {
        let pdu = event.pdu();
        if pdu.room_id() != self.room_id {
            let (event_id, room_id) = (pdu.event_id().to_owned(), pdu.room_id().to_owned());
            return Err(ReceiveError::OtherRoom { event_id, room_id });
        }
        let links = match Links::find(&event, numbers.event, shelf)? {
            Ok(links) => links,
            Err(fetch) => return Ok(Received::Fetch(fetch)),
        };
        let before = self.state_before(&links.prev_events, shelf)?;
        let (event, refused) = self.judge(event, &links, &before, shelf)?;
        if event.standing == Standing::Accepted && before.is_current {
            let receipt = self.appended(event, numbers.state_key, shelf)?;
            return Ok(Received::Receipt(Box::new(receipt)));
        }
        let receipt = self.merged(event, refused, &before.state, shelf)?;
        Ok(Received::Receipt(Box::new(receipt)))
    }

    /// The room state before an event: the resolution of the states after its `prev_events`
    /// (<https://spec.matrix.org/v1.19/server-server-api/#definitions>).
    fn state_before(&self, prev_events: &[u64], shelf: &Shelf) -> Result<Before, Stop> {
        let mut prev = prev_events.to_vec();
        let mut heads = self.forward_extremities();
        prev.sort_unstable();
        heads.sort_unstable();
        if prev == heads {
            return Ok(Before { state: self.state.clone(), facts: self.facts.clone(), is_current: true });
        }
        let state = self.resolved_after(prev_events, shelf)?;
        let facts = Facts::read(self.version, &state, shelf)?;
        Ok(Before { state, facts, is_current: false })
    }

    /// The resolution of the states after some events.
    fn resolved_after(&self, numbers: &[u64], shelf: &Shelf) -> Result<StateMap, Stop> {
        let mut states = Vec::with_capacity(numbers.len());
        for event in shelf.events(numbers)? {
            // An outlier has no state of its own to speak of.
            if let Some(root) = event.state_before {
                states.push(state_after(event, &shelf.open(root)?, shelf)?);
            }
        }
        resolved(self.version, &states, shelf)
    }

    /// Checks 4 to 6.
    fn judge(
        &self,
        event: SignedPdu,
        links: &Links,
        before: &Before,
        shelf: &Shelf,
    ) -> Result<(Event, Option<Refused>), Stop> {
        let version = self.version;
        let auth_events = shelf.events(&links.auth_events)?;
        let views: Vec<EventView<'_, u64>> = auth_events.iter().map(|event| event.view()).collect();
        let by_room_id = version.rules().authorization.room_create_event_id_as_room_id;
        let create = if by_room_id { Some(shelf.event(self.create)?) } else { None };
        let named = NamedAuthEvents { auth_events: &views, create: create.map(|create| create.view()) };
        let view = event.pdu().view();
        let facts_before = before.facts.with_members(&view, &before.state, shelf)?;
        let facts_now = match before.is_current {
            true => None,
            false => Some(self.facts_for(&view, shelf)?),
        };
        let (signed, refused) = match AuthorizedPdu::check(event, &named, &facts_before) {
            Err(unauthorized) => {
                let unauthorized = *unauthorized;
                (unauthorized.pdu, Some(Refused::Rejected(unauthorized.refusal)))
            }
            Ok(authorized) => {
                // Check 6 is check 5 again when the state before the event is the current one.
                let now = facts_now.map_or(Ok(()), |now| authorized.check_current(&now, None));
                (authorized.into_signed(), now.err().map(Refused::SoftFailed))
            }
        };
        let standing = match &refused {
            None => Standing::Accepted,
            Some(Refused::Rejected(_)) => Standing::Rejected,
            Some(Refused::SoftFailed(_)) => Standing::SoftFailed,
        };
        let event = Event {
            number: links.number,
            pdu: signed.into_hashed().into_pdu(),
            prev_events: links.prev_events.clone(),
            auth_events: links.auth_events.clone(),
            generation: generation_above(auth_events.iter().map(|event| event.generation)),
            standing,
            state_before: Some(before.state.root_id()),
        };
        Ok((event, refused))
    }

    /// The receipt of an accepted event that comes after everything in the room.
    fn appended(&self, event: Event, state_key: Option<u64>, shelf: &Shelf) -> Result<Receipt, Stop> {
        let mut room = self.clone();
        let mut nodes = shelf.nodes();
        let mut state_changes = Vec::new();
        if let Some(key) = state_key {
            let entry = Entry { event: event.number, generation: event.generation };
            let old = room.state.insert(key, entry, &nodes)?;
            room.state.save_changes(&self.state, &mut nodes)?;
            room.facts.update(&event);
            state_changes.push(Change { key, old, new: Some(entry) });
        }
        room.extremities = vec![Extremity::from(&event)];
        let event = Arc::new(event);
        Ok(Receipt { event, refused: None, nodes: nodes.into_made(), state_changes, room })
    }

    /// The receipt of any other event.
    fn merged(
        &self,
        event: Event,
        refused: Option<Refused>,
        before: &StateMap,
        shelf: &Shelf,
    ) -> Result<Receipt, Stop> {
        let mut nodes = shelf.nodes();
        before.save_changes(&self.state, &mut nodes)?;
        let mut room = self.clone();
        let mut state_changes = Vec::new();
        if event.standing == Standing::Accepted {
            room.extremities.retain(|extremity| !event.prev_events.contains(&extremity.number));
            let mut states = Vec::with_capacity(room.extremities.len() + 1);
            let others: Vec<u64> = room.forward_extremities();
            for other in shelf.events(&others)? {
                if let Some(root) = other.state_before {
                    states.push(state_after(other, &shelf.open(root)?, shelf)?);
                }
            }
            states.push(state_after(&event, before, shelf)?);
            let mut with_event = shelf.clone();
            let event = Arc::new(event.clone());
            with_event.put_event(Arc::clone(&event));
            room.extremities.push(Extremity::from(&*event));
            room.state = resolved(self.version, &states, &with_event)?;
            room.facts = Facts::read(self.version, &room.state, &with_event)?;
            state_changes = self.state.diff(&room.state, &nodes)?;
            room.state.save_changes(&self.state, &mut nodes)?;
        }
        Ok(Receipt { event: Arc::new(event), refused, nodes: nodes.into_made(), state_changes, room })
    }
}

/// The state before an event.
struct Before {
    state: StateMap,
    facts: Facts,
    /// Whether it is the current state of the room.
    is_current: bool,
}

/// The number of an event, and those of the events that it names.
struct Links {
    number: u64,
    prev_events: Vec<u64>,
    auth_events: Vec<u64>,
}

impl Links {
    fn find(event: &SignedPdu, number: u64, shelf: &Shelf) -> Result<Result<Links, Fetch>, Stop> {
        let pdu = event.pdu();
        let (prev, missing_prev) = split(pdu.prev_events(), shelf)?;
        let (auth, missing_auth) = split(pdu.auth_events(), shelf)?;
        if missing_prev.is_empty() && missing_auth.is_empty() {
            return Ok(Ok(Links { number, prev_events: prev, auth_events: auth }));
        }
        Ok(Err(Fetch { prev_events: missing_prev, auth_events: missing_auth }))
    }
}

fn split(event_ids: &[OwnedEventId], shelf: &Shelf) -> Result<(Vec<u64>, Vec<OwnedEventId>), Stop> {
    let mut known = Vec::with_capacity(event_ids.len());
    let mut missing = Vec::new();
    for (event_id, number) in event_ids.iter().zip(shelf.numbers(event_ids)?) {
        match number {
            Some(number) => known.push(number),
            None => missing.push(event_id.clone()),
        }
    }
    Ok((known, missing))
}
