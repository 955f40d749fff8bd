//! What this crate asks of others.

use std::time::Duration;

use freehold_store::{BoxFuture, Position, ReadError, RoomNumber, Snapshot, Tenant, UserNumber};
use ruma_common::{OwnedUserId, ServerName, UserId};

/// Which servers a tenant reaches, and what those elsewhere say. What is not overridden is as it is without other servers.
pub trait Servers: Send + Sync {
    /// The tenant of this process that answers for `server_name` when `asker` asks it; `None` for servers elsewhere, for those
    /// that do not answer now, and for those with which one of the two refuses to speak.
    fn reach(&self, asker: &Tenant, server_name: &ServerName) -> Option<Tenant>;

    /// Whether a server is a tenant of this process.
    fn is_hosted(&self, _: &ServerName) -> bool {
        true
    }

    /// The devices of a user of another server, as that server tells a tenant
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1userdevicesuserid>): the body of its answer, if it
    /// comes `within` a time.
    fn devices<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a UserId,
        _within: Duration,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        Box::pin(std::future::ready(Err(NotAnswered)))
    }

    /// Asks another server for keys on behalf of a tenant
    /// (<https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysquery>), with the body of a request:
    /// the body of the answer, if it comes `within` a time.
    fn query_keys<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: String,
        _within: Duration,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        Box::pin(std::future::ready(Err(NotAnswered)))
    }

    /// Claims one-time keys of another server on behalf of a tenant
    /// (<https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysclaim>), with the body of a request: the
    /// body of the answer, if it comes `within` a time.
    fn claim_keys<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: String,
        _within: Duration,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        Box::pin(std::future::ready(Err(NotAnswered)))
    }

    /// Whether a user of a tenant and a user of another server are joined to the same room. With a position: whether
    /// the tenant and the other are both in one of that user's rooms since then or longer, so that the other's server has
    /// told the tenant of whatever changed since.
    fn shares_room<'a>(
        &'a self,
        _: &'a Snapshot,
        _: UserNumber,
        _: &'a UserId,
        _: Option<Position>,
    ) -> BoxFuture<'a, Result<bool, ReadError>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// The users of other servers who are joined to a room; after a position, those who came and went since.
    fn foreign_members<'a>(
        &'a self,
        _: &'a Snapshot,
        _: RoomNumber,
        _: Option<Position>,
    ) -> BoxFuture<'a, Result<ForeignMembers, ReadError>> {
        Box::pin(std::future::ready(Ok(ForeignMembers::default())))
    }
}

/// Users of other servers in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignMembers {
    /// Who is joined, or came.
    pub joined: Vec<OwnedUserId>,
    /// Who left since.
    pub left: Vec<OwnedUserId>,
}

/// Another server did not answer, or not so that it is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server did not answer")]
pub struct NotAnswered;
