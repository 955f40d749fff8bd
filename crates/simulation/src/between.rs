//! What the parts of a process ask of each other, as the homeserver wires it.

use std::sync::Arc;

use freehold_federation::{Health, Ingest, RemoteKeyring, TakeError, Taken, TakenEvents};
use freehold_federation_api as api;
use freehold_federation_api::Unserved;
use freehold_keyring::NotaryQuery;
use freehold_signing::{KeyId, KeySource, WantedKey};
use freehold_store::{BoxFuture, Clock, Tenant};
use ruma_common::{RoomId, ServerName};

/// Events that servers bring go into rooms, with everything that is missing for them.
pub(crate) struct EventsIntoRooms(pub(crate) Ingest);

impl api::Ingest for EventsIntoRooms {
    fn take<'a>(
        &'a self,
        tenant: &'a Tenant,
        origin: &'a ServerName,
        (room_id, events): (&'a RoomId, Vec<String>),
    ) -> BoxFuture<'a, Result<Vec<Option<api::Taken>>, Unserved>> {
        Box::pin(async move { told(self.0.take(tenant, origin, room_id, events).await) })
    }
}

/// What the other server is told. A fault here is none of its events': it sends them again.
fn told(taken: TakenEvents) -> Result<Vec<Option<api::Taken>>, Unserved> {
    let mut told = Vec::with_capacity(taken.len());
    for (event_id, taken) in taken {
        let refused = match taken {
            Ok(Taken::Known | Taken::Accepted) => None,
            Ok(Taken::Refused(_) | Taken::RefusedBefore) => Some(api::NOT_ALLOWED.to_owned()),
            Err(TakeError::Here(error)) => return Err(Unserved(Box::new(error))),
            Err(error) => Some(error.to_string()),
        };
        told.push(event_id.map(|event_id| api::Taken { event_id, refused }));
    }
    Ok(told)
}

/// The keys of all servers, tenants among them, and who of them is alive.
pub(crate) struct KeysOfOrigins {
    pub(crate) keyring: RemoteKeyring,
    pub(crate) health: Health,
    pub(crate) clock: Arc<dyn Clock>,
}

impl api::OriginKeys for KeysOfOrigins {
    fn keys<'a>(
        &'a self,
        _: &'a Tenant,
        origin: &'a ServerName,
        key_id: &'a KeyId,
    ) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        let minimum_valid_until_ts = Some(self.clock.now_ts());
        let wanted = WantedKey { server: origin.to_owned(), key_id: key_id.clone(), minimum_valid_until_ts };
        Box::pin(async move {
            Box::new(self.keyring.keys_for(&[wanted]).await) as Box<dyn KeySource + Send + Sync>
        })
    }

    fn heard_from(&self, origin: &ServerName) {
        self.health.heard_from(origin);
    }
}

/// Tenants as notaries for everybody.
pub(crate) struct NotaryTenants(pub(crate) RemoteKeyring);

impl api::Notary for NotaryTenants {
    fn answer<'a>(
        &'a self,
        tenant: &'a Tenant,
        query: &'a NotaryQuery,
    ) -> BoxFuture<'a, Result<Vec<u8>, Unserved>> {
        Box::pin(async move { self.0.notary(tenant, query).await.map_err(|error| Unserved(Box::new(error))) })
    }
}
