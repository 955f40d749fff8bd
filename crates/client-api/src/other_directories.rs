//! Published rooms of other servers, and their spaces.

use freehold_store::{BoxFuture, Tenant};
use ruma_common::{RoomId, ServerName};

/// Who asks other servers for the rooms that they list.
pub trait OtherDirectories: Send + Sync {
    /// The tenant of this process that answers for a server when another tenant asks it.
    fn neighbour(&self, asker: &Tenant, server: &ServerName) -> Option<Tenant>;

    /// What a server elsewhere answers a tenant
    /// (<https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1publicrooms>), given the body of the request;
    /// `None` if it does not answer.
    fn public_rooms<'a>(
        &'a self,
        asker: &'a Tenant,
        server: &'a ServerName,
        wanted: String,
    ) -> BoxFuture<'a, Option<String>>;

    /// What a server elsewhere tells a tenant of a space
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid>); `None` if it does not answer.
    fn hierarchy<'a>(
        &'a self,
        asker: &'a Tenant,
        server: &'a ServerName,
        room_id: &'a RoomId,
    ) -> BoxFuture<'a, Option<String>>;
}

/// There are no other servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOtherDirectories;

impl OtherDirectories for NoOtherDirectories {
    fn neighbour(&self, _: &Tenant, _: &ServerName) -> Option<Tenant> {
        None
    }

    fn public_rooms<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: String,
    ) -> BoxFuture<'a, Option<String>> {
        Box::pin(std::future::ready(None))
    }

    fn hierarchy<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: &'a RoomId,
    ) -> BoxFuture<'a, Option<String>> {
        Box::pin(std::future::ready(None))
    }
}
