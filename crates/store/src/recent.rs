//! Which rooms changed lately, so that a sync looks at those and not at every room of its user.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::number::{Position, RoomNumber};

/// How many changes are remembered: 16 bytes each. Who was away for longer has each of their rooms looked at.
const REMEMBERED: usize = 16_384;

/// The rooms of the last changes, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct RecentRooms(Arc<Mutex<Recent>>);

#[derive(Debug)]
struct Recent {
    /// All changes after this position are remembered.
    floor: Position,
    changes: VecDeque<(Position, RoomNumber)>,
}

impl RecentRooms {
    /// Remembers what comes after `floor`.
    pub(crate) fn after(floor: Position) -> Self {
        RecentRooms(Arc::new(Mutex::new(Recent { floor, changes: VecDeque::new() })))
    }

    /// Notes a change. Called before the change can be seen, so that whoever sees the change finds the note.
    pub(crate) fn note(&self, position: Position, rooms: &[RoomNumber]) {
        let mut recent = self.lock();
        for room in rooms {
            if recent.changes.len() == REMEMBERED
                && let Some((forgotten, _)) = recent.changes.pop_front()
            {
                recent.floor = forgotten;
            }
            recent.changes.push_back((position, *room));
        }
    }

    /// The rooms that changed after `since` and up to `to`, or `None` if that is too long ago to say.
    pub(crate) fn between(&self, since: Position, to: Position) -> Option<BTreeSet<RoomNumber>> {
        let recent = self.lock();
        if since < recent.floor {
            return None;
        }
        let newest_first = recent.changes.iter().rev();
        let wanted = newest_first.take_while(|(position, _)| *position > since);
        Some(wanted.filter(|(position, _)| *position <= to).map(|(_, room)| *room).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_between_two_positions_are_named_and_no_others() {
        let recent = RecentRooms::after(Position(10));
        for number in 11..20 {
            recent.note(Position(number), &[RoomNumber(number)]);
        }
        let between = recent.between(Position(12), Position(14)).unwrap();
        assert_eq!(between.into_iter().collect::<Vec<_>>(), [RoomNumber(13), RoomNumber(14)]);
        assert_eq!(recent.between(Position(9), Position(14)), None);
    }

    #[test]
    fn what_was_forgotten_is_not_answered_as_if_nothing_had_happened() {
        let recent = RecentRooms::after(Position(0));
        for number in 1..=(REMEMBERED as u64 + 5) {
            recent.note(Position(number), &[RoomNumber(7)]);
        }
        assert_eq!(recent.between(Position(4), Position(9)), None);
        assert!(recent.between(Position(5), Position(9)).is_some());
    }
}
