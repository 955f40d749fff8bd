//! What this crate asks of others.

use std::error::Error;

use freehold_keyring::NotaryQuery;
use freehold_signing::{KeyId, KeySource};
use freehold_store::{BoxFuture, Tenant};
use ruma_common::{OwnedEventId, RoomId, ServerName};

/// The keys with which other servers sign requests.
pub trait OriginKeys: Send + Sync {
    /// The keys of `origin`, with the one called `key_id` among them if it can be had: asked for over the network on
    /// behalf of `tenant` when it is not known. Other tenants of this process are other servers.
    fn keys<'a>(
        &'a self,
        tenant: &'a Tenant,
        origin: &'a ServerName,
        key_id: &'a KeyId,
    ) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>>;

    /// Is told that a server is alive: it just sent a request that it signed.
    fn heard_from(&self, _origin: &ServerName) {}
}

/// What tenants have settled, and what they publish.
pub trait Tenants: Send + Sync {
    /// Whether a tenant speaks with a server, as its lists of allowed and denied servers have it.
    fn speaks_with(&self, tenant: &Tenant, server: &ServerName) -> bool;

    /// The document in which a tenant publishes its keys at `now_ts` (milliseconds since the Unix epoch)
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server>).
    ///
    /// # Errors
    /// [`Unserved`].
    fn key_document(&self, tenant: &Tenant, now_ts: i64) -> Result<Vec<u8>, Unserved>;
}

/// Answers for the keys of other servers.
pub trait Notary: Send + Sync {
    /// The answer of a tenant to a query: documents of the servers that could be had, each signed by the tenant
    /// (<https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server>).
    ///
    /// # Errors
    /// [`NotaryRefusal`].
    fn answer<'a>(
        &'a self,
        tenant: &'a Tenant,
        query: &'a NotaryQuery,
    ) -> BoxFuture<'a, Result<Vec<u8>, NotaryRefusal>>;
}

/// Why a query for the keys of others is not answered.
#[derive(Debug, thiserror::Error)]
pub enum NotaryRefusal {
    /// As many queries as may be are being answered.
    #[error("too many queries for keys are being answered")]
    Busy,
    /// It cannot be answered; a fault here.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// The one way in for events of other servers.
pub trait Ingest: Send + Sync {
    /// Takes events of a room that a server brought to a tenant, in order: all checks, and fetching what is missing. Says
    /// of each, in their order, what came of it; `None` of what is no event of the room, or is not told. The caller has asked
    /// whether the tenant is in the room, and whether the room lets the server speak. What is known is answered as it was when
    /// it came first.
    ///
    /// # Errors
    /// [`IngestRefusal`]: nothing can be said of the rest, and the server is to send it again.
    fn take<'a>(
        &'a self,
        tenant: &'a Tenant,
        origin: &'a ServerName,
        events: (&'a RoomId, Vec<String>),
    ) -> BoxFuture<'a, Result<Vec<Option<Taken>>, IngestRefusal>>;
}

/// Why events cannot be taken now.
#[derive(Debug, thiserror::Error)]
pub enum IngestRefusal {
    /// As many searches for what events refer to as may be are under way.
    #[error("too many events wait for what they refer to")]
    Busy,
    /// They cannot be taken; a fault here.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// What came of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The event.
    pub event_id: OwnedEventId,
    /// Why it was refused, for the people who run the other server; `None` if it was not.
    pub refused: Option<String>,
    /// Whether it is kept, and nothing is said of it yet: it may still be refused.
    pub is_held: bool,
}

/// Why something cannot be served; a fault here.
#[derive(Debug, thiserror::Error)]
#[error("the tenant cannot serve this")]
pub struct Unserved(#[source] pub Box<dyn Error + Send + Sync>);
