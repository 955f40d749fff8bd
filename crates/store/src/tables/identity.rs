//! Numbers for identifiers: in both directions, never given twice.

use ruma_common::{OwnedEventId, OwnedRoomId, OwnedUserId};

use crate::key::{Key, KeyError};
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
/// For each kind of number the least that was never given and is not set aside.
pub const COUNTERS: Table<Counted, u64> = Table::new(TableId(9), "counters");

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// Users.
    Users,
    /// Rooms.
    Rooms,
    /// Events.
    Events,
    /// (Event type, state key) pairs.
    StateKeys,
    /// Devices.
    Devices,
    /// Tenants.
    Tenants,
}

impl Counted {
    const ALL: [Counted; 6] = [
        Counted::Users,
        Counted::Rooms,
        Counted::Events,
        Counted::StateKeys,
        Counted::Devices,
        Counted::Tenants,
    ];
}

impl Key for Counted {
    fn encode(&self, out: &mut Vec<u8>) {
        (*self as u8).encode(out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        let byte = u8::decode(input)?;
        Counted::ALL.get(usize::from(byte)).copied().ok_or(KeyError::Unexpected(byte))
    }
}
