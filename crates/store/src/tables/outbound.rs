//! What tenants send to other servers, and how far each server has it.
//!
//! The events are in [`OUTGOING`](super::rooms::OUTGOING), once for each tenant. A server that does not answer costs one
//! row however much waits for it.

use ruma_common::OwnedServerName;
use serde::{Deserialize, Serialize};

use crate::number::{EventNumber, Position, RoomNumber, TenantNumber, UserNumber};
use crate::table::{Table, TableId};

/// Up to where the events of a tenant reached all servers that have no row in [`BEHIND`].
pub const HANDED_OVER: Table<TenantNumber, (Position, u16)> = Table::new(TableId(180), "handed_over");
/// Servers that do not have all events of a tenant: up to where they have them.
pub const BEHIND: Table<(TenantNumber, OwnedServerName), (Position, u16)> =
    Table::new(TableId(181), "behind");
/// Messages that a tenant sends to one server, in order: ephemeral data units that must not be lost.
pub const OUTGOING_MESSAGES: Table<(TenantNumber, OwnedServerName, Position, u16), MessageRow> =
    Table::new(TableId(182), "outgoing_messages");
/// Users whose device lists changed since a server was last told: when they last did.
pub const OUTGOING_DEVICE_LISTS: Table<(TenantNumber, OwnedServerName, UserNumber), Position> =
    Table::new(TableId(183), "outgoing_device_lists");
/// Users whose cross-signing keys changed since a server was last told: when they last did.
pub const OUTGOING_SIGNING_KEYS: Table<(TenantNumber, OwnedServerName, UserNumber), Position> =
    Table::new(TableId(184), "outgoing_signing_keys");
/// The last of the messages that are being sent to a server together, so that the same are sent together again when it is
/// not known what became of them.
pub const SENDING_MESSAGES: Table<(TenantNumber, OwnedServerName), (Position, u16)> =
    Table::new(TableId(185), "sending_messages");
/// For a server that does not take its messages: a time, in milliseconds since the Unix epoch, and the last message
/// that waited then.
pub const WAITING_MESSAGES: Table<(TenantNumber, OwnedServerName), (i64, Position)> =
    Table::new(TableId(186), "waiting_messages");
/// For a server that was away for longer than events are kept for it: the last event of each room that it is to have, from
/// which it can find the others.
pub const LAST_MISSED: Table<(TenantNumber, OwnedServerName, RoomNumber), MissedRow> =
    Table::new(TableId(187), "last_missed");

/// A message to another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    /// Its `edu_type`.
    pub edu_type: String,
    /// Its content, as JSON.
    pub content: String,
}

/// The last event of a room that a server missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedRow {
    /// Where it was in the log of the tenant.
    pub at: (Position, u16),
    /// The event.
    pub event: EventNumber,
    /// Whether the server is to have it although it may not be in the room: it is about one of its users.
    pub is_about_it: bool,
}
