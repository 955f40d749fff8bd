//! The one way in for events of other servers, as the server-server API asks for it.

use freehold_federation::{Ingest, TakeError, Taken, TakenEvents};
use freehold_federation_api as federation_api;
use freehold_federation_api::Unserved;
use freehold_store::{BoxFuture, Tenant};
use ruma_common::{RoomId, ServerName};

/// Events that servers bring go into rooms, with everything that is missing for them.
pub(crate) struct EventsIntoRooms(pub(crate) Ingest);

impl federation_api::Ingest for EventsIntoRooms {
    fn take<'a>(
        &'a self,
        tenant: &'a Tenant,
        origin: &'a ServerName,
        (room_id, events): (&'a RoomId, Vec<String>),
    ) -> BoxFuture<'a, Result<Vec<Option<federation_api::Taken>>, Unserved>> {
        Box::pin(async move { told(self.0.take(tenant, origin, room_id, events).await) })
    }
}

/// What the other server is told. A fault here is none of its events': it sends them again.
fn told(taken: TakenEvents) -> Result<Vec<Option<federation_api::Taken>>, Unserved> {
    let mut told = Vec::with_capacity(taken.len());
    for (event_id, taken) in taken {
        let refused = match taken {
            Ok(Taken::Known | Taken::Accepted) => None,
            Ok(Taken::Refused(_) | Taken::RefusedBefore) => Some(federation_api::NOT_ALLOWED.to_owned()),
            Err(TakeError::Here(error)) => return Err(Unserved(Box::new(error))),
            Err(error) => Some(error.to_string()),
        };
        told.push(event_id.map(|event_id| federation_api::Taken { event_id, refused }));
    }
    Ok(told)
}
