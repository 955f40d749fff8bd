//! What this crate asks of others, as `freehold-federation` answers it.

use std::sync::Arc;

use freehold_federation::{Health, RemoteKeyring, TakeError, TakenEvents};
use freehold_keyring::NotaryQuery;
use freehold_signing::{KeyId, KeySource, WantedKey};
use freehold_store::{BoxFuture, Clock, Tenant};
use ruma_common::{RoomId, ServerName};

use crate::outside::{Ingest, Notary, OriginKeys, Taken, Unserved};
use crate::send::NOT_ALLOWED;

/// Events that servers bring go into rooms, with everything that is missing for them.
impl Ingest for freehold_federation::Ingest {
    fn take<'a>(
        &'a self,
        tenant: &'a Tenant,
        origin: &'a ServerName,
        (room_id, events): (&'a RoomId, Vec<String>),
    ) -> BoxFuture<'a, Result<Vec<Option<Taken>>, Unserved>> {
        Box::pin(async move {
            told(freehold_federation::Ingest::take(self, tenant, origin, room_id, events).await)
        })
    }
}

/// What the other server is told. A fault here is none of its events': it sends them again.
fn told(taken: TakenEvents) -> Result<Vec<Option<Taken>>, Unserved> {
    use freehold_federation::Taken as Became;
    let mut told = Vec::with_capacity(taken.len());
    for (event_id, taken) in taken {
        let is_held = matches!(taken, Ok(Became::Held));
        let refused = match taken {
            Ok(Became::Known | Became::Accepted | Became::Held) => None,
            Ok(Became::Refused(_) | Became::RefusedBefore) => Some(NOT_ALLOWED.to_owned()),
            Err(TakeError::Here(error)) => return Err(Unserved(Box::new(error))),
            Err(error @ TakeError::Later) => return Err(Unserved(Box::new(error))),
            Err(error) => Some(error.to_string()),
        };
        told.push(event_id.map(|event_id| Taken { event_id, refused, is_held }));
    }
    Ok(told)
}

/// The keys of all servers, tenants among them, and who of them is alive.
pub struct KeysOfOrigins {
    /// The keys.
    pub keyring: RemoteKeyring,
    /// Who is alive.
    pub health: Health,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl OriginKeys for KeysOfOrigins {
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
impl Notary for RemoteKeyring {
    fn answer<'a>(
        &'a self,
        tenant: &'a Tenant,
        query: &'a NotaryQuery,
    ) -> BoxFuture<'a, Result<Vec<u8>, Unserved>> {
        Box::pin(async move { self.notary(tenant, query).await.map_err(|error| Unserved(Box::new(error))) })
    }
}
