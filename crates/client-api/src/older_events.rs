//! Events of rooms from before those that are here.

use freehold_store::{BoxFuture, Tenant};
use ruma_common::RoomId;

/// Who has events of rooms from before those that are here.
pub trait OlderEvents: Send + Sync {
    /// Fetches some of them on behalf of a tenant that is in the room. Whether there are any that were not here.
    fn fetch<'a>(&'a self, tenant: &'a Tenant, room_id: &'a RoomId) -> BoxFuture<'a, bool>;
}

/// Nobody has any.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOlderEvents;

impl OlderEvents for NoOlderEvents {
    fn fetch<'a>(&'a self, _: &'a Tenant, _: &'a RoomId) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(false))
    }
}
