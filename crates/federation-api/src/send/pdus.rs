//! [PDUs](https://spec.matrix.org/v1.19/server-server-api/#pdus): what is known is answered before anything is verified, the
//! rest goes the one way in.

use std::collections::BTreeMap;

use freehold_event::{Pdu, RoomVersion};
use freehold_rooms::{NotServed, Reader};
use freehold_store::RoomNumber;
use freehold_store::tables::rooms::{EVENTS, Standing};
use ruma_common::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Outcome;
use crate::asker::Asker;
use crate::error::ApiError;
use crate::services::Services;

/// What came of each event.
type Outcomes = BTreeMap<OwnedEventId, Outcome>;

#[derive(Deserialize)]
struct InRoom {
    room_id: OwnedRoomId,
}

/// Takes events, room by room. Of events of rooms that the tenant is not in nothing can be said, not even by which id, as
/// that depends on the version of the room.
pub(super) async fn take(
    services: &Services,
    asker: &Asker,
    pdus: &[&RawValue],
) -> Result<Outcomes, ApiError> {
    let mut rooms: BTreeMap<OwnedRoomId, Vec<&str>> = BTreeMap::new();
    for pdu in pdus {
        match serde_json::from_str::<InRoom>(pdu.get()) {
            Ok(InRoom { room_id }) => rooms.entry(room_id).or_default().push(pdu.get()),
            Err(error) => tracing::debug!(%error, "an event without a room is ignored"),
        }
    }
    let mut outcomes = Outcomes::new();
    for (room_id, events) in rooms {
        take_in_room(services, asker, (room_id, events), &mut outcomes).await?;
    }
    Ok(outcomes)
}

async fn take_in_room(
    services: &Services,
    asker: &Asker,
    (room_id, events): (OwnedRoomId, Vec<&str>),
    outcomes: &mut Outcomes,
) -> Result<(), ApiError> {
    let reader = services.rooms.reader()?;
    let Some((room, version)) = shared_room(&reader, asker, &room_id).await? else {
        return take_withdrawals(services, asker, (&room_id, events)).await;
    };
    let admitted = services.rooms.admits(&room_id, &asker.origin).await.map_err(ApiError::internal)?;
    let mut new = Vec::new();
    for json in events {
        let pdu = match Pdu::parse(json.as_bytes(), version) {
            Ok(pdu) => pdu,
            Err(error) => {
                tracing::debug!(%error, "an event that is none is ignored");
                continue;
            }
        };
        let event_id = pdu.event_id().to_owned();
        if !admitted {
            let error = Some("the room does not let your server speak".to_owned());
            outcomes.insert(event_id, Outcome { error });
        } else if is_known(&reader, room, &event_id).await? {
            outcomes.insert(event_id, Outcome::default());
        } else {
            new.push(json.to_owned());
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let taken = services.ingest.take(&asker.tenant, &asker.origin, (&room_id, new)).await;
    for taken in taken.map_err(ApiError::internal)? {
        outcomes.insert(taken.event_id, Outcome { error: taken.refused });
    }
    Ok(())
}

/// Of events of rooms that the tenant is not in only those are of use that withdraw an invite of one of its users.
async fn take_withdrawals(
    services: &Services,
    asker: &Asker,
    (room_id, events): (&OwnedRoomId, Vec<&str>),
) -> Result<(), ApiError> {
    for event in events {
        let place = (&*asker.origin, &**room_id);
        match services.rooms.take_withdrawal(&asker.tenant, place, event.as_bytes()).await {
            Ok(true) => {}
            Ok(false) => tracing::debug!(%room_id, "an event of a room that the tenant is not in is ignored"),
            Err(NotServed::Failed(error)) => return Err(ApiError::internal(error)),
            Err(error) => tracing::debug!(%room_id, %error, "a withdrawal is ignored"),
        }
    }
    Ok(())
}

/// The number and version of a room that the tenant is in. That a neighbour is in it makes no difference.
async fn shared_room(
    reader: &Reader,
    asker: &Asker,
    room_id: &OwnedRoomId,
) -> Result<Option<(RoomNumber, &'static RoomVersion)>, ApiError> {
    let Some(room) = reader.room_number(room_id).await? else { return Ok(None) };
    if !reader.is_in_room(asker.tenant.number(), room).await? {
        return Ok(None);
    }
    Ok(reader.room(room).await?.map(|facts| (room, facts.version)))
}

/// Whether an event of the room is here with all that follows from it.
async fn is_known(reader: &Reader, room: RoomNumber, event_id: &OwnedEventId) -> Result<bool, ApiError> {
    let Some(number) = reader.snapshot().number_of(event_id).await? else { return Ok(false) };
    let row = reader.snapshot().get(&EVENTS, &number).await?;
    Ok(row.is_some_and(|row| row.room == room && row.standing != Standing::Outlier))
}
