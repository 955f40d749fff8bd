//! What the parts of a process ask of each other, as the homeserver wires it.

use std::collections::BTreeSet;

use freehold_federation::{Outbound, ToldReceipt};
use freehold_store::{BoxFuture, Tenant};
use freehold_sync::{OtherServers, PublicReceipt, ToldPresence};
use ruma_common::{OwnedServerName, RoomId, UserId};

/// Other servers, as they are told of typing and receipts.
pub(crate) struct ToldServers(pub(crate) Outbound);

impl OtherServers for ToldServers {
    fn typing<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: (&'a RoomId, &'a UserId),
        typing: bool,
    ) -> BoxFuture<'a, ()> {
        // A process that dies over it tells nobody.
        Box::pin(async move { drop(self.0.tell_typing(tenant, place, typing).await) })
    }

    fn receipt<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: (&'a RoomId, &'a UserId),
        receipt: PublicReceipt,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let PublicReceipt { event_id, thread, ts } = receipt;
            drop(self.0.tell_receipt(tenant, place, &ToldReceipt { event_id, thread, ts }).await);
        })
    }

    /// Nobody here says that they are there.
    fn presence<'a>(
        &'a self,
        _: &'a Tenant,
        _: BTreeSet<OwnedServerName>,
        _: (&'a UserId, &'a ToldPresence),
    ) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
