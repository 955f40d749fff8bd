//! Numbers for identifiers: in both directions, never given twice.

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId};

use crate::number::{EventNumber, RoomNumber, StateKeyNumber, UserNumber};
use crate::table::{Table, TableId};

/// The number of a user.
pub const USER_NUMBERS: Table<OwnedUserId, UserNumber> = Table::new(TableId(1), "user_numbers");
/// The user of a number.
pub const USER_IDS: Table<UserNumber, OwnedUserId> = Table::new(TableId(2), "user_ids");
/// The number of a room.
pub const ROOM_NUMBERS: Table<OwnedRoomId, RoomNumber> = Table::new(TableId(3), "room_numbers");
/// The room of a number.
pub const ROOM_IDS: Table<RoomNumber, OwnedRoomId> = Table::new(TableId(4), "room_ids");
/// The number of an event.
pub const EVENT_NUMBERS: Table<OwnedEventId, EventNumber> = Table::new(TableId(5), "event_numbers");
/// The event of a number.
pub const EVENT_IDS: Table<EventNumber, OwnedEventId> = Table::new(TableId(6), "event_ids");
/// The number of an (event type, state key) pair.
pub const STATE_KEY_NUMBERS: Table<(String, String), StateKeyNumber> =
    Table::new(TableId(7), "state_key_numbers");
/// The (event type, state key) pair of a number.
pub const STATE_KEYS: Table<StateKeyNumber, (String, String)> = Table::new(TableId(8), "state_keys");
