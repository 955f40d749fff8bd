//! Who is told of typing, receipts and presence beside the people here.

use std::collections::BTreeSet;

use freehold_store::{BoxFuture, Tenant};
use ruma_common::{OwnedEventId, OwnedServerName, RoomId, UserId};

use crate::presence::ToldPresence;

/// Other servers in the rooms of tenants.
pub trait OtherServers: Send + Sync + 'static {
    /// A user of a tenant types in a room, or stopped.
    fn typing<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: (&'a RoomId, &'a UserId),
        typing: bool,
    ) -> BoxFuture<'a, ()>;

    /// A user of a tenant read up to an event of a room, and does not hide it.
    fn receipt<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: (&'a RoomId, &'a UserId),
        receipt: PublicReceipt,
    ) -> BoxFuture<'a, ()>;

    /// A user of a tenant came or went, and those servers share a room with them; tenants of this process may be among them.
    fn presence<'a>(
        &'a self,
        tenant: &'a Tenant,
        servers: BTreeSet<OwnedServerName>,
        told: (&'a UserId, &'a ToldPresence),
    ) -> BoxFuture<'a, ()>;
}

/// A receipt that everybody in the room may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicReceipt {
    /// The event up to which the user read.
    pub event_id: OwnedEventId,
    /// The thread: `main`, or the id of a thread root; without one, the receipt is for the whole room.
    pub thread: Option<String>,
    /// When the user read it, in milliseconds since the Unix epoch.
    pub ts: i64,
}

/// There are no other servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOtherServers;

impl OtherServers for NoOtherServers {
    fn typing<'a>(&'a self, _: &'a Tenant, _: (&'a RoomId, &'a UserId), _: bool) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn receipt<'a>(
        &'a self,
        _: &'a Tenant,
        _: (&'a RoomId, &'a UserId),
        _: PublicReceipt,
    ) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn presence<'a>(
        &'a self,
        _: &'a Tenant,
        _: BTreeSet<OwnedServerName>,
        _: (&'a UserId, &'a ToldPresence),
    ) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
