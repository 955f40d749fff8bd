//! Takes the events that other servers bring.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use freehold_event::Pdu;
use freehold_event_auth::Refusal;
use freehold_room::{Dropped, GivenError, Refused};
use freehold_rooms::{
    ActionError, Delivery, Identities, Incoming, Look, Reader, RoomFacts, Rooms, Unreadable,
};
use freehold_signing::{KeySource, Signature, WantedKey, wanted_keys};
use freehold_store::{Clock, Tenant};
use ruma_common::{OwnedEventId, OwnedServerName, RoomId, ServerName};
use tokio::time::timeout;

use super::fetching::{Asking, Fetching, NoAnswer};
use super::flight::{Flight, Flights, Found, Kin, NoSearch, Occasion, Piece};
use super::state::WholeStates;
use super::vain::Vain;
use crate::limits::{FLIGHT_EVENTS_MAX, FLIGHT_SERVERS_MAX, FLIGHT_TIME_MS, POLICY_TIME_MS, TAKEN_MAX};

/// Takes the events that other servers bring. A clone is another handle on the same.
#[derive(Clone)]
pub struct Ingest(pub(super) Arc<Inner>);

/// What an [`Ingest`] is made of.
pub struct IngestParts {
    /// Where events go.
    pub rooms: Rooms,
    /// Who is hosted here: they are asked for nothing.
    pub identities: Arc<dyn Identities>,
    /// Asks others.
    pub fetching: Arc<dyn Fetching>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

pub(super) struct Inner {
    pub(super) parts: IngestParts,
    pub(super) flights: Flights,
    pub(super) vain: Vain,
    pub(super) whole_states: WholeStates,
}

/// What became of an event that is here now.
#[derive(Debug)]
pub enum Taken {
    /// It was known already.
    Known,
    /// It was known already, and had not been accepted.
    RefusedBefore,
    /// It was accepted.
    Accepted,
    /// It is kept, and not shown.
    Refused(Refused),
    /// It is kept, and judged once all members of its room are known.
    Held,
}

/// Why an event is not here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeError {
    /// The tenant is not in the room.
    #[error("the room is not known here")]
    UnknownRoom,
    /// Not all members of the room are known here yet, and too many of its events are held until they are.
    #[error("not all members of the room are known here yet")]
    Partial,
    /// The access control list of the room shuts the server out that brought it.
    #[error("the access control list of the room shuts the server out")]
    ShutOut,
    /// There were too many at once.
    #[error("too many events at once")]
    TooMany,
    /// It is no event of the room that could be received.
    #[error(transparent)]
    Dropped(#[from] Dropped),
    /// It is not allowed by what is known of the state, of which part could not be verified yet.
    #[error("part of the state of the room could not be verified yet")]
    Lacking,
    /// What it follows, or what authorises it, could not be had.
    #[error("what the event refers to cannot be had")]
    Missing(#[source] NoAnswer),
    /// By the state that a server gave it is not allowed; nothing is said for ever.
    #[error("the event is not allowed by the state that a server gave")]
    Unsettled(#[source] Refusal),
    /// What a server gave as the state before it is none of the room.
    #[error("the state that a server gave is none of the room")]
    BadState(#[source] GivenError),
    /// What it follows is being looked for already, or was lately in vain.
    #[error("what the event refers to could not be had lately")]
    Waiting,
    /// What it refers to cannot be asked for now: whoever brought it is to bring it again.
    #[error("what the event refers to cannot be asked for now")]
    Later,
    /// A fault here.
    #[error(transparent)]
    Here(#[from] ActionError),
}

/// What could not be had, or could not be kept here.
impl From<NoAnswer> for TakeError {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Here(error) => TakeError::Here(*error),
            error => TakeError::Missing(error),
        }
    }
}

impl From<NoSearch> for TakeError {
    fn from(reason: NoSearch) -> Self {
        match reason {
            NoSearch::Vain => TakeError::Waiting,
            NoSearch::Later => TakeError::Later,
        }
    }
}

impl From<Unreadable> for TakeError {
    fn from(error: Unreadable) -> Self {
        TakeError::Here(error.into())
    }
}

/// The keys that events are signed with. No iterator lives on while they are fetched: a future with one in it could not go from
/// thread to thread.
pub(super) fn wanted_by<'p>(events: impl Iterator<Item = &'p Pdu>) -> Vec<WantedKey> {
    events.filter_map(|pdu| wanted_keys(pdu).ok()).flatten().collect()
}

/// What became of each event, in the order in which they came, by the ids of those that are events at all.
pub type TakenEvents = Vec<(Option<OwnedEventId>, Result<Taken, TakeError>)>;

impl Ingest {
    /// A driver of rooms.
    pub fn new(parts: IngestParts) -> Self {
        let (flights, vain, whole_states) = <(Flights, Vain, WholeStates)>::default();
        Ingest(Arc::new(Inner { parts, flights, vain, whole_states }))
    }

    /// The rooms into which events go.
    pub fn rooms(&self) -> &Rooms {
        &self.0.parts.rooms
    }

    /// Takes events of a room that a server brought to a tenant, in their order. What is missing for them is fetched.
    pub async fn take(
        &self,
        tenant: &Tenant,
        origin: &ServerName,
        room_id: &RoomId,
        events: Vec<String>,
    ) -> TakenEvents {
        let visit = match self.0.visit(tenant, origin, room_id).await {
            Ok(visit) => visit,
            Err(TakeError::UnknownRoom) => {
                return self.0.withdrawals(tenant, (origin, room_id), events).await;
            }
            Err(error) => return self.0.refused(error, events),
        };
        self.0.take_from(&visit, events).await
    }
}

/// Events that are not known, with their places in the list in which they came.
type Fresh = Vec<(usize, Piece)>;

/// A server that brings a tenant events of a room.
pub(super) struct Visit<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) origin: &'a ServerName,
    pub(super) room: Arc<RoomFacts>,
}

impl Inner {
    async fn visit<'a>(
        &self,
        tenant: &'a Tenant,
        origin: &'a ServerName,
        room_id: &RoomId,
    ) -> Result<Visit<'a>, TakeError> {
        let reader = self.parts.rooms.reader().map_err(|error| TakeError::Here(error.into()))?;
        let number = reader.room_number(room_id).await?.ok_or(TakeError::UnknownRoom)?;
        let room = reader.room(number).await?.ok_or(TakeError::UnknownRoom)?;
        if !reader.is_in_room(tenant.number(), number).await? {
            return Err(TakeError::UnknownRoom);
        }
        match reader.current_state(number).await?.admits(origin).await? {
            true => Ok(Visit { tenant, origin, room }),
            false => Err(TakeError::ShutOut),
        }
    }

    /// Takes events of a room from a server that may speak in it.
    pub(super) async fn take_from(&self, visit: &Visit<'_>, events: Vec<String>) -> TakenEvents {
        let (mut taken, fresh) = match self.looked_at(&visit.room.room_id, events).await {
            Ok(looked_at) => looked_at,
            Err((error, events)) => return self.refused(error, events),
        };
        let pieces: Vec<&Piece> = fresh.iter().map(|(_, piece)| piece).collect();
        let done = match self.held_back(visit, &pieces).await {
            Ok(Some(held)) => held,
            Ok(None) => {
                self.take_late_state(visit).await;
                self.take_new(visit, &pieces).await
            }
            Err(error) => all_failed(error, pieces.len()),
        };
        for ((place, _), done) in fresh.iter().zip(done) {
            if let Some(answer) = taken.get_mut(*place) {
                answer.1 = done;
            }
        }
        taken
    }

    /// What the room lacks of a server that speaks now can mostly be verified now, and its events be judged by it.
    async fn take_late_state(&self, visit: &Visit<'_>) {
        let rooms = &self.parts.rooms;
        let Ok(reader) = rooms.reader() else { return };
        if !matches!(reader.lacks_state_of(&visit.room, visit.origin).await, Ok(true)) {
            return;
        }
        drop(reader);
        if let Err(error) = rooms.take_late_state(&visit.room.room_id).await {
            tracing::warn!(room_id = %visit.room.room_id, %error, "what a room lacks was not looked at again");
        }
    }

    /// Events of a room that the tenant is not in: those that take back an invite, or refuse a knock, are for its users all
    /// the same.
    async fn withdrawals(
        &self,
        tenant: &Tenant,
        (origin, room_id): (&ServerName, &RoomId),
        events: Vec<String>,
    ) -> TakenEvents {
        let mut taken = Vec::with_capacity(events.len());
        for (place, json) in events.into_iter().enumerate() {
            let rooms = &self.parts.rooms;
            let is_one = place < TAKEN_MAX
                && matches!(
                    rooms.take_withdrawal(tenant, (origin, room_id), json.as_bytes()).await,
                    Ok(true)
                );
            taken.push((None, if is_one { Ok(Taken::Accepted) } else { Err(TakeError::UnknownRoom) }));
        }
        taken
    }

    /// All events are refused for the same reason.
    fn refused(&self, error: TakeError, events: Vec<String>) -> TakenEvents {
        let again = |error: &TakeError| match error {
            TakeError::ShutOut => TakeError::ShutOut,
            _ => TakeError::UnknownRoom,
        };
        let mut taken: TakenEvents = events.iter().map(|_| (None, Err(again(&error)))).collect();
        if let Some(first) = taken.first_mut() {
            first.1 = Err(error);
        }
        taken
    }

    /// What there is to say of events at once, and those that are not known.
    async fn looked_at(
        &self,
        room_id: &RoomId,
        mut events: Vec<String>,
    ) -> Result<(TakenEvents, Fresh), (TakeError, Vec<String>)> {
        let surplus = events.len().saturating_sub(TAKEN_MAX);
        events.truncate(TAKEN_MAX);
        let texts: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
        let looks = match self.parts.rooms.look_at_new(room_id, &texts).await {
            Ok(looks) => looks,
            Err(error) => return Err((error.into(), events)),
        };
        let (mut taken, mut fresh) = (Vec::with_capacity(events.len()), Vec::new());
        for (place, (look, json)) in looks.into_iter().zip(events).enumerate() {
            taken.push(match look {
                Ok(Look::Known(event_id)) => (Some(event_id), Ok(Taken::Known)),
                Ok(Look::Refused(event_id)) => (Some(event_id), Ok(Taken::RefusedBefore)),
                Ok(Look::New(pdu)) => {
                    let event_id = Some(pdu.event_id().to_owned());
                    fresh.push((place, Piece { pdu, json }));
                    (event_id, Ok(Taken::Known))
                }
                Err(dropped) => (None, Err(dropped.into())),
            });
        }
        taken.extend((0..surplus).map(|_| (None, Err(TakeError::TooMany))));
        Ok((taken, fresh))
    }

    /// Takes events that are not known: together, and then one by one those for which something is missing.
    async fn take_new(&self, visit: &Visit<'_>, pieces: &[&Piece]) -> Vec<Result<Taken, TakeError>> {
        if pieces.is_empty() {
            return Vec::new();
        }
        let keys: Arc<dyn KeySource + Send + Sync> =
            self.keys(wanted_by(pieces.iter().map(|piece| &*piece.pdu))).await.into();
        let taken = match self.is_recommended(&visit.room).await {
            Ok(false) => self.take_together(visit, pieces, &keys).await,
            Ok(true) => return self.take_each(visit, pieces, &*keys).await,
            Err(error) => Err(error),
        };
        match taken {
            // None is missing; if it were, nothing would be said of it.
            Ok(mut taken) => (0..pieces.len())
                .map(|place| taken.remove(&place).unwrap_or(Err(TakeError::Waiting)))
                .collect(),
            Err(error) => all_failed(error, pieces.len()),
        }
    }

    async fn take_each(
        &self,
        visit: &Visit<'_>,
        pieces: &[&Piece],
        keys: &(dyn KeySource + Sync),
    ) -> Vec<Result<Taken, TakeError>> {
        let mut done = Vec::with_capacity(pieces.len());
        for piece in pieces {
            done.push(self.take_one(visit, piece, keys).await);
        }
        done
    }

    pub(super) async fn keys(&self, wanted: Vec<WantedKey>) -> Box<dyn KeySource + Send + Sync> {
        self.parts.fetching.keys(&wanted).await
    }

    async fn take_one(
        &self,
        visit: &Visit<'_>,
        piece: &Piece,
        keys: &(dyn KeySource + Sync),
    ) -> Result<Taken, TakeError> {
        let room_id = &visit.room.room_id;
        let asking = Asking { tenant: visit.tenant, at: visit.origin, room_id, has_spoken: false };
        let policy = self.policy(asking, &piece.pdu).await?;
        let policy = policy.as_ref().map(|(server, signature)| (&**server, signature));
        let delivery = Delivery { json: piece.json.as_bytes(), state: None, policy };
        match self.parts.rooms.deliver(room_id, delivery, keys).await? {
            Incoming::Fetch(_) => self.take_with_missing(visit, piece).await,
            incoming => taken(incoming),
        }
    }

    /// Takes an event once what is missing for it is there.
    pub(super) async fn take_with_missing(
        &self,
        visit: &Visit<'_>,
        piece: &Piece,
    ) -> Result<Taken, TakeError> {
        let occasion = self.occasion(visit).await?;
        let place = self.flights.enter(occasion, self.parts.clock.now_ts())?;
        // That others are slow is no fault of whoever brought this one.
        let _turn = place.turn().await.ok_or(TakeError::Later)?;
        let search = async {
            let flight = self.flight(visit, piece).await?;
            Ok(flight.complete(piece).await?)
        };
        let done = timeout(Duration::from_millis(FLIGHT_TIME_MS), search).await;
        let done = done.unwrap_or(Err(TakeError::Missing(NoAnswer::TooSlow)));
        let found = match &done {
            Ok(_) => Some(Found::All),
            // Nobody else's fault. What is wrong with the room alone is looked at as seldom as if it were.
            Err(TakeError::Here(error)) if error.is_of_server() => None,
            Err(TakeError::Missing(NoAnswer::Unreached(_) | NoAnswer::TooSlow)) => Some(Found::Unreached),
            Err(_) => Some(Found::NotAll),
        };
        if let Some(found) = found
            && self.flights.end(occasion, (found, self.parts.clock.now_ts()))
        {
            return Err(TakeError::Later);
        }
        match done? {
            Incoming::Fetch(_) => Err(TakeError::Missing(NoAnswer::Useless("something is still missing"))),
            incoming => taken(incoming),
        }
    }

    async fn occasion<'v>(&self, visit: &'v Visit<'_>) -> Result<Occasion<'v>, TakeError> {
        let reader = self.parts.rooms.reader().map_err(|error| TakeError::Here(error.into()))?;
        let kin = match reader.server_in(visit.room.number, visit.origin).await? {
            Some(_) => Kin::Member,
            None => Kin::Stranger,
        };
        let (tenant, room_id) = (visit.tenant.number(), &*visit.room.room_id);
        Ok(Occasion { tenant, room_id, origin: visit.origin, kin })
    }

    async fn flight<'a>(&'a self, visit: &Visit<'a>, piece: &Piece) -> Result<Flight<'a>, TakeError> {
        let reader = self.parts.rooms.reader().map_err(|error| TakeError::Here(error.into()))?;
        let first = [visit.origin.to_owned(), piece.pdu.sender().server_name().to_owned()];
        let servers = self.servers(&reader, &visit.room, &first).await?;
        let left = AtomicUsize::new(FLIGHT_EVENTS_MAX);
        let (tenant, room, origin) = (visit.tenant, Arc::clone(&visit.room), Some(visit.origin));
        Ok(Flight { inner: self, tenant, room, origin, servers, left })
    }

    /// Whom to ask about a room: some servers first, then those with the most people in it; no tenants.
    pub(super) async fn servers(
        &self,
        reader: &Reader,
        room: &RoomFacts,
        first: &[OwnedServerName],
    ) -> Result<Vec<OwnedServerName>, Unreadable> {
        let mut others = reader.servers_in(room.number).await?;
        others.sort_by_key(|(_, row)| std::cmp::Reverse(row.joined));
        let mut servers: Vec<OwnedServerName> = Vec::with_capacity(FLIGHT_SERVERS_MAX);
        for server in first.iter().chain(others.iter().map(|(server, _)| server)) {
            if servers.len() < FLIGHT_SERVERS_MAX
                && !servers.contains(server)
                && self.parts.identities.tenant(server).is_none()
            {
                servers.push(server.clone());
            }
        }
        Ok(servers)
    }

    /// The signature of the room's policy server on an event that has none and needs it. Without an answer the event goes
    /// on without, and is soft-failed:
    ///
    /// > If the Policy Server's signature is invalid or missing, the homeserver SHOULD ask for a new signature. If the event
    /// > still does not have a valid Policy Server signature, the event is *not* recommended for inclusion.
    pub(super) async fn policy(
        &self,
        asking: Asking<'_>,
        pdu: &Pdu,
    ) -> Result<Option<(OwnedServerName, Signature)>, ActionError> {
        let reader = self.parts.rooms.reader()?;
        let Some(room) = reader.room_number(asking.room_id).await? else { return Ok(None) };
        let Some(policy) = reader.policy_server_to_ask(room, pdu).await? else { return Ok(None) };
        let Ok(server) = ServerName::parse(policy.server_name()) else { return Ok(None) };
        let asked = self.parts.fetching.policy_signature(Asking { at: &server, ..asking }, pdu);
        let answer = timeout(Duration::from_millis(POLICY_TIME_MS), asked).await;
        Ok(answer.ok().and_then(Result::ok).map(|signature| (server, signature)))
    }
}

/// Nothing is said of any of some events, for a fault here.
fn all_failed(error: ActionError, count: usize) -> Vec<Result<Taken, TakeError>> {
    let others = (1..count).map(|_| Err(TakeError::Waiting));
    std::iter::once(Err(error.into())).chain(others).collect()
}

/// What came of an event for which nothing is missing.
pub(super) fn taken(incoming: Incoming) -> Result<Taken, TakeError> {
    match incoming {
        Incoming::Known | Incoming::Unasked => Ok(Taken::Known),
        Incoming::RefusedBefore => Ok(Taken::RefusedBefore),
        Incoming::Kept(None) => Ok(Taken::Accepted),
        Incoming::Kept(Some(refused)) => Ok(Taken::Refused(refused)),
        Incoming::Dropped(dropped) => Err(TakeError::Dropped(dropped)),
        Incoming::Unsettled(refusal) => Err(TakeError::Unsettled(refusal)),
        Incoming::Lacking => Err(TakeError::Lacking),
        Incoming::BadState(error) => Err(TakeError::BadState(error)),
        Incoming::Fetch(_) => Err(TakeError::Waiting),
    }
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").finish_non_exhaustive()
    }
}
