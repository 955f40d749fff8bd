//! Whom sync tells of typing and receipts beside the people here: other servers.

use freehold_federation::{Outbound, ToldReceipt};
use freehold_store::{BoxFuture, Tenant};
use freehold_sync::{OtherServers, PublicReceipt};
use ruma_common::{RoomId, UserId};

/// Other servers, as sync tells them.
pub(crate) struct ToldServers(pub(crate) Outbound);

impl OtherServers for ToldServers {
    fn typing<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: (&'a RoomId, &'a UserId),
        typing: bool,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(error) = self.0.tell_typing(tenant, place, typing).await {
                tracing::warn!(%error, "other servers are not told that somebody types");
            }
        })
    }

    fn receipt<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: (&'a RoomId, &'a UserId),
        receipt: PublicReceipt,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let PublicReceipt { event_id, thread, ts } = receipt;
            if let Err(error) =
                self.0.tell_receipt(tenant, place, &ToldReceipt { event_id, thread, ts }).await
            {
                tracing::warn!(%error, "other servers are not told of a receipt");
            }
        })
    }
}
