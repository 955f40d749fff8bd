//! Receipts, and what of the unread counts is remembered.

use ruma_common::OwnedEventId;
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyError};
use crate::number::{Position, RoomNumber, TimelineIndex, UserNumber};
use crate::table::{Table, TableId};

/// Up to where each user read each thread of a room.
pub const RECEIPTS: Table<(RoomNumber, UserNumber, ReceiptKind, Option<String>), ReceiptRow> =
    Table::new(TableId(120), "receipts");
/// The same by when it was said: one row for each row of [`RECEIPTS`].
pub const RECEIPT_CHANGES: Table<(RoomNumber, Position, UserNumber, ReceiptKind, Option<String>), ()> =
    Table::new(TableId(121), "receipt_changes");

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
