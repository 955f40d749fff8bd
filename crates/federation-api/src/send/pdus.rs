//! [PDUs](https://spec.matrix.org/v1.19/server-server-api/#pdus): what is known is answered before anything is verified, the
//! rest goes the one way in.

use std::collections::BTreeMap;

use freehold_event::{Pdu, RoomVersion};
use freehold_rooms::{ActionError, NotServed, Reader};
use ruma_common::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Outcome;
use super::recent::TextKey;
use crate::asker::Asker;
use crate::error::ApiError;
use crate::limits::SEARCHES_WAIT_MS;
use crate::outside::{IngestRefusal, Taken};
use crate::services::Services;

/// Why an event is refused that the rules of its room do not allow, now or when it came first.
pub const NOT_ALLOWED: &str = "the event is not allowed in the room";

/// What came of each event.
type Outcomes = BTreeMap<OwnedEventId, Outcome>;

/// What the events of a transaction were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// Nothing came of them: each was known in its room and accepted, or is none that could be taken.
    Idly,
    /// Others were among them.
    Closely,
}

#[derive(Deserialize)]
struct InRoom {
    room_id: OwnedRoomId,
}

/// An event that came: its text, and its id if an event with just this text was accepted lately.
struct Came<'t> {
    text: &'t str,
    key: TextKey,
    known: Option<OwnedEventId>,
}

/// Takes events, room by room. Of events of rooms that the tenant is not in nothing can be said, not even by which id, as
/// that depends on the version of the room.
pub(super) async fn take(
    services: &Services,
    asker: &Asker,
    pdus: &[&RawValue],
) -> Result<(Outcomes, Looked), ApiError> {
    let rooms = by_room(services, pdus);
    let mut outcomes = Outcomes::new();
    let mut looked = Looked::Idly;
    for (room_id, events) in rooms {
        match take_in_room(services, asker, (&room_id, events), &mut outcomes).await {
            Ok(Looked::Idly) => {}
            Ok(Looked::Closely) => looked = Looked::Closely,
            Err(Fault::Server(error)) => return Err(error),
            Err(Fault::Room(error)) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(%room_id, error, "events cannot be taken: something is wrong with their room");
                looked = Looked::Closely;
            }
        }
    }
    Ok((outcomes, looked))
}

/// A fault here.
enum Fault {
    /// Nothing can be taken now; the other server is to send all of it again.
    Server(ApiError),
    /// Something is wrong with one room, and will be when its events come again. Those of others are taken.
    Room(ActionError),
}

impl<E: Into<ActionError>> From<E> for Fault {
    fn from(error: E) -> Self {
        let error = error.into();
        if error.is_of_server() { Fault::Server(ApiError::internal(error)) } else { Fault::Room(error) }
    }
}

/// The events of each room. The same event comes once for each tenant in the room, with the same text: which event that is
/// need not be computed again.
fn by_room<'t>(services: &Services, pdus: &[&'t RawValue]) -> BTreeMap<OwnedRoomId, Vec<Came<'t>>> {
    let mut rooms = BTreeMap::<OwnedRoomId, Vec<Came<'t>>>::new();
    let recent = services.transactions.recent();
    for pdu in pdus {
        let (text, key) = (pdu.get(), TextKey::of(pdu.get()));
        if let Some((room_id, event_id)) = recent.find(&key) {
            let came = Came { text, key, known: Some(event_id) };
            match rooms.get_mut(&*room_id) {
                Some(events) => events.push(came),
                None => drop(rooms.insert(OwnedRoomId::clone(&room_id), vec![came])),
            }
            continue;
        }
        match serde_json::from_str::<InRoom>(text) {
            Ok(InRoom { room_id }) => rooms.entry(room_id).or_default().push(Came { text, key, known: None }),
            Err(error) => tracing::debug!(%error, "an event without a room is ignored"),
        }
    }
    rooms
}

async fn take_in_room(
    services: &Services,
    asker: &Asker,
    (room_id, events): (&OwnedRoomId, Vec<Came<'_>>),
    outcomes: &mut Outcomes,
) -> Result<Looked, Fault> {
    let reader = services.rooms.reader()?;
    let Some(version) = shared_room(&reader, asker, room_id).await? else {
        return take_withdrawals(services, asker, (room_id, events)).await;
    };
    if !services.rooms.admits(room_id, &asker.origin).await? {
        outcomes.extend(shut_out(version, &events));
        return Ok(Looked::Idly);
    }
    let (known, new): (Vec<_>, Vec<_>) = events.into_iter().partition(|came| came.known.is_some());
    let known = known.into_iter().filter_map(|came| came.known);
    outcomes.extend(known.map(|event_id| (event_id, Outcome::default())));
    if new.is_empty() {
        return Ok(Looked::Idly);
    }
    let texts = new.iter().map(|came| came.text.to_owned()).collect();
    let taken = services.ingest.take(&asker.tenant, &asker.origin, (room_id, texts)).await;
    let taken = taken.map_err(|refusal| match refusal {
        IngestRefusal::Busy => Fault::Server(ApiError::limited(SEARCHES_WAIT_MS)),
        IngestRefusal::Unserved(error) => Fault::Server(ApiError::internal(error)),
    })?;
    let is_known = |taken: &Option<Taken>| matches!(taken, Some(Taken { refused: None, is_held: false, .. }));
    let accepted = new.iter().zip(&taken).filter(|(_, taken)| is_known(taken));
    let accepted = accepted.filter_map(|(came, taken)| Some((came.key, taken.as_ref()?.event_id.clone())));
    services.transactions.recent().put(room_id, accepted);
    for Taken { event_id, refused, .. } in taken.into_iter().flatten() {
        outcomes.insert(event_id, Outcome { error: refused });
    }
    Ok(Looked::Closely)
}

/// What a server is told of its events that may not speak in the room.
fn shut_out(version: &'static RoomVersion, events: &[Came<'_>]) -> Outcomes {
    let events = events.iter().filter_map(|came| Pdu::parse(came.text.as_bytes(), version).ok());
    let outcome = || Outcome { error: Some("the room does not let your server speak".to_owned()) };
    events.map(|pdu| (pdu.event_id().to_owned(), outcome())).collect()
}

/// Of events of rooms that the tenant is not in only those are of use that withdraw an invite of one of its users.
async fn take_withdrawals(
    services: &Services,
    asker: &Asker,
    (room_id, events): (&OwnedRoomId, Vec<Came<'_>>),
) -> Result<Looked, Fault> {
    let mut looked = Looked::Idly;
    for Came { text, .. } in events {
        let place = (&*asker.origin, &**room_id);
        match services.rooms.take_withdrawal(&asker.tenant, place, text.as_bytes()).await {
            Ok(true) => looked = Looked::Closely,
            Ok(false) => tracing::debug!(%room_id, "an event of a room that the tenant is not in is ignored"),
            Err(NotServed::Failed(error)) => return Err(Fault::Server(ApiError::internal(error))),
            Err(error) => tracing::debug!(%room_id, %error, "a withdrawal is ignored"),
        }
    }
    Ok(looked)
}

/// The version of a room that the tenant is in. That a neighbour is in it makes no difference.
async fn shared_room(
    reader: &Reader,
    asker: &Asker,
    room_id: &OwnedRoomId,
) -> Result<Option<&'static RoomVersion>, Fault> {
    let Some(room) = reader.room_number(room_id).await? else { return Ok(None) };
    if !reader.is_in_room(asker.tenant.number(), room).await? {
        return Ok(None);
    }
    Ok(reader.room(room).await?.map(|facts| facts.version))
}
