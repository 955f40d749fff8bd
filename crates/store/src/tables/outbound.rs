//! What tenants send to other servers, and how far each server has it.
//!
//! The events are in [`OUTGOING`](super::rooms::OUTGOING), once for each tenant. A server that does not answer costs one
//! row however much waits for it.

use ruma_common::OwnedServerName;
use serde::{Deserialize, Serialize};

use crate::number::{Position, TenantNumber, UserNumber};
use crate::table::{Table, TableId};

/// Up to where the events of a tenant reached all servers that have no row in [`BEHIND`].
pub const HANDED_OVER: Table<TenantNumber, (Position, u16)> = Table::new(TableId(180), "handed_over");
/// Servers that do not have all events of a tenant: up to where they have them.
pub const BEHIND: Table<(TenantNumber, OwnedServerName), (Position, u16)> =
    Table::new(TableId(181), "behind");
/// Messages that a tenant sends to one server, in order: ephemeral data units that must not be lost.
pub const OUTGOING_MESSAGES: Table<(TenantNumber, OwnedServerName, Position, u16), MessageRow> =
    Table::new(TableId(182), "outgoing_messages");
/// Users whose device lists changed since a server was last told.
pub const OUTGOING_DEVICE_LISTS: Table<(TenantNumber, OwnedServerName, UserNumber), Position> =
    Table::new(TableId(183), "outgoing_device_lists");

/// A message to another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    /// Its `edu_type`.
    pub edu_type: String,
    /// Its content, as JSON.
    pub content: String,
}
