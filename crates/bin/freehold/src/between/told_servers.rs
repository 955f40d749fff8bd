//! Whom sync tells of typing, receipts and presence beside the people here: other servers.

use std::collections::BTreeSet;

use freehold_federation::{Outbound, ToldPresence, ToldReceipt};
use freehold_store::{BoxFuture, Tenant};
use freehold_sync::{OtherServers, PresenceState, PublicReceipt};
use ruma_common::{OwnedServerName, RoomId, UserId};

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

    fn presence<'a>(
        &'a self,
        tenant: &'a Tenant,
        servers: BTreeSet<OwnedServerName>,
        (user_id, told): (&'a UserId, &'a freehold_sync::ToldPresence),
    ) -> BoxFuture<'a, ()> {
        let presence = match told.shown.state {
            PresenceState::Online => "online",
            PresenceState::Unavailable => "unavailable",
            PresenceState::Offline => "offline",
        };
        let told = ToldPresence {
            presence,
            status_msg: told.shown.status_msg.clone(),
            last_active_ago_ms: told.last_active_ago_ms,
            currently_active: told.is_currently_active(),
        };
        self.0.tell_presence(tenant, servers, (user_id, &told));
        Box::pin(std::future::ready(()))
    }
}
