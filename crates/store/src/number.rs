//! The numbers that stand for identifiers inside the server.

use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyError};

/// Declares a number that stands for one kind of thing, ordered and usable in keys.
macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl Key for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }

            fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
                <$inner>::decode(input).map($name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

numbers! {
    /// A tenant of this process.
    TenantNumber(u32);
    /// A user, of a tenant or of any other server.
    UserNumber(u64);
    /// A device of a user of a tenant; never given to another device, not even to one of the same id.
    DeviceNumber(u64);
    /// A room.
    RoomNumber(u64);
    /// An event.
    EventNumber(u64);
    /// An (event type, state key) pair; the key of state maps.
    StateKeyNumber(u64);
    /// Where a durable change stands among all changes of the server; the first is 1.
    Position(u64);
    /// Where an event stands in the timeline of its room: the position of its batch and its place in it, or a
    /// negative number for what was fetched from before the room's first event here, the newest of it being -1.
    TimelineIndex(i64);
}

/// How many bits of a timeline index say the place in the batch.
const PLACE_BITS: u32 = 16;

impl TimelineIndex {
    /// Of the event with this place among those of a batch.
    pub fn at(position: Position, place: u16) -> Self {
        let position = i64::try_from(position.0).unwrap_or(i64::MAX).min(i64::MAX >> PLACE_BITS);
        TimelineIndex((position << PLACE_BITS) | i64::from(place))
    }

    /// The last one that a batch at this position can give: everything up to it is what was durable then.
    pub fn last_of(position: Position) -> Self {
        TimelineIndex::at(position, u16::MAX)
    }

    /// The position of the batch; `None` for what was fetched from before.
    pub fn position(self) -> Option<Position> {
        u64::try_from(self.0 >> PLACE_BITS).ok().map(Position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeline_indices_follow_positions_and_then_places() {
        let (one, two) = (Position(1), Position(2));
        let ordered = [
            TimelineIndex(-1),
            TimelineIndex::at(one, 0),
            TimelineIndex::last_of(one),
            TimelineIndex::at(two, 0),
        ];
        assert!(ordered.is_sorted());
        assert_eq!(TimelineIndex::at(two, 7).position(), Some(two));
        assert_eq!(TimelineIndex(-1).position(), None);
    }
}
