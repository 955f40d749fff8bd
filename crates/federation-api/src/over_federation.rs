//! What this crate asks of others, as `freehold-federation` answers it.

use std::sync::Arc;

use freehold_federation::{Health, NotaryError, RemoteKeyring, TakeError, TakenEvents};
use freehold_keyring::NotaryQuery;
use freehold_signing::{KeyId, KeySource, WantedKey};
use freehold_store::{BoxFuture, Clock, Tenant};
use ruma_common::{RoomId, ServerName};

use crate::outside::{Ingest, IngestRefusal, Notary, NotaryRefusal, OriginKeys, Taken, Unserved};
use crate::send::NOT_ALLOWED;

/// Events that servers bring go into rooms, with everything that is missing for them.
impl Ingest for freehold_federation::Ingest {
    fn take<'a>(
        &'a self,
        tenant: &'a Tenant,
        origin: &'a ServerName,
        (room_id, events): (&'a RoomId, Vec<String>),
    ) -> BoxFuture<'a, Result<Vec<Option<Taken>>, IngestRefusal>> {
        Box::pin(async move {
            told(room_id, freehold_federation::Ingest::take(self, tenant, origin, room_id, events).await)
        })
    }
}

/// What is said of an event that cannot be taken for a fault here, which is the same when it comes again.
const DAMAGED: &str = "the event cannot be taken because something is wrong with the room here";

/// What the other server is told. When the store is full, or cannot be read, it sends everything again. What is wrong with one room or
/// one event stays so, and keeps nothing else of the transaction from being taken.
fn told(room_id: &RoomId, taken: TakenEvents) -> Result<Vec<Option<Taken>>, IngestRefusal> {
    use freehold_federation::Taken as Became;
    let mut told = Vec::with_capacity(taken.len());
    for (event_id, taken) in taken {
        let is_held = matches!(taken, Ok(Became::Held));
        let refused = match taken {
            Ok(Became::Known | Became::Accepted | Became::Held) => None,
            Ok(Became::Refused(_) | Became::RefusedBefore) => Some(NOT_ALLOWED.to_owned()),
            Err(TakeError::Here(error)) if error.is_of_server() => {
                return Err(Unserved(Box::new(error)).into());
            }
            Err(TakeError::Here(error)) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(%room_id, ?event_id, error, "an event cannot be taken: something is wrong with its room");
                Some(DAMAGED.to_owned())
            }
            Err(TakeError::Later) => return Err(IngestRefusal::Busy),
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
    ) -> BoxFuture<'a, Result<Vec<u8>, NotaryRefusal>> {
        Box::pin(async move {
            self.notary(tenant, query).await.map_err(|error| match error {
                NotaryError::Busy => NotaryRefusal::Busy,
                error => Unserved(Box::new(error)).into(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use freehold_room::Stop;
    use freehold_rooms::ActionError;
    use freehold_state_res::{BudgetLine, ResolveError};
    use freehold_store::CommitError;
    use ruma_common::EventId;

    use super::*;

    #[test]
    fn events_for_which_too_much_is_looked_for_already_are_to_come_again() {
        let room_id = RoomId::parse("!room:one.example").unwrap();
        let taken = vec![(EventId::parse("$one").ok(), Err(TakeError::Later))];
        assert!(matches!(told(&room_id, taken), Err(IngestRefusal::Busy)));
    }

    fn told_of(error: ActionError) -> Result<Vec<Option<Taken>>, IngestRefusal> {
        let room_id = RoomId::parse("!room:one.example").unwrap();
        let id = |name: &str| Some(EventId::parse(name).unwrap());
        let good = || Ok(freehold_federation::Taken::Accepted);
        let taken =
            vec![(id("$one"), good()), (id("$bad"), Err(TakeError::Here(error))), (id("$other"), good())];
        told(&room_id, taken)
    }

    /// synapse#7543: one bad event failed a whole transaction.
    #[test]
    fn synapse_7543_what_is_wrong_with_a_room_fails_no_transaction_and_a_full_disk_does() {
        let over_budget =
            || Stop::Resolve(Box::new(ResolveError::OverBudget { line: BudgetLine::Events, allowed: 1 }));
        let of_room: [ActionError; 3] = [
            ActionError::Damaged("a row".into()),
            over_budget().into(),
            freehold_store::ReadError::Dangling { table: "events" }.into(),
        ];
        for error in of_room {
            let refused: Vec<bool> =
                told_of(error).unwrap().into_iter().map(|taken| taken.unwrap().refused.is_some()).collect();
            assert_eq!(refused, [false, true, false]);
        }
        for error in [ActionError::Commit(CommitError::Full), ActionError::Busy] {
            assert!(told_of(error).is_err());
        }
    }
}
