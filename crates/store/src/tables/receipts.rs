//! Receipts, and what of the unread counts is remembered.

use ruma_common::OwnedEventId;
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyError};
use crate::number::{Position, RoomNumber, TenantNumber, TimelineIndex, UserNumber};
use crate::table::{Table, TableId};

/// Who is told of a receipt: everybody here who is in the room, or the users of one tenant, to which the user's server said it.
pub type Told = Option<TenantNumber>;

/// A room, who is told, the user, who may see it, and the thread.
pub type ReceiptKey = (RoomNumber, Told, UserNumber, ReceiptKind, Option<String>);

/// The same with the position of the change.
pub type ReceiptChangeKey = (RoomNumber, Told, Position, UserNumber, ReceiptKind, Option<String>);

/// Up to where each user read each thread of a room, by who is told.
pub const RECEIPTS: Table<ReceiptKey, ReceiptRow> = Table::new(TableId(120), "receipts");
/// The same by when it was said: one row for each row of [`RECEIPTS`].
pub const RECEIPT_CHANGES: Table<ReceiptChangeKey, ()> = Table::new(TableId(121), "receipt_changes");

/// Who may see a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ReceiptKind {
    /// `m.read`: everybody in the room.
    Read,
    /// `m.read.private`: the user alone.
    ReadPrivate,
}

impl Key for ReceiptKind {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self {
            ReceiptKind::Read => 0,
            ReceiptKind::ReadPrivate => 1,
        });
    }

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        match u8::decode(input)? {
            0 => Ok(ReceiptKind::Read),
            1 => Ok(ReceiptKind::ReadPrivate),
            other => Err(KeyError::Unexpected(other)),
        }
    }
}

/// Up to where a user read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptRow {
    /// The event.
    pub event_id: OwnedEventId,
    /// Where it stands in the timeline.
    pub index: TimelineIndex,
    /// When the user said so, in milliseconds since the Unix epoch.
    pub ts: i64,
    /// The position of the change.
    pub since: Position,
}
