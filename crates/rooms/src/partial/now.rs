//! Which rooms are partial now, without a look at the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::RoomNumber;
use tokio::sync::watch;

use crate::read::Unreadable;
use crate::rooms::Rooms;

/// Which rooms are partial now; tells when one becomes so, or whole.
pub(crate) struct PartialNow {
    told: watch::Sender<u64>,
    known: Mutex<Known>,
}

/// What is known of that without the store.
enum Known {
    /// Nobody asked yet. What changed since the process runs, which is newer than what is read once somebody does.
    Changes(BTreeMap<RoomNumber, bool>),
    /// All.
    All(BTreeSet<RoomNumber>),
}

impl Default for PartialNow {
    fn default() -> Self {
        let known = Mutex::new(Known::Changes(BTreeMap::new()));
        PartialNow { told: watch::Sender::new(0), known }
    }
}

impl PartialNow {
    /// A room is partial, or whole: this is durable.
    pub(super) fn tell(&self, room: RoomNumber, is_partial: bool) {
        match &mut *self.known() {
            Known::Changes(changes) => drop(changes.insert(room, is_partial)),
            Known::All(rooms) if is_partial => drop(rooms.insert(room)),
            Known::All(rooms) => drop(rooms.remove(&room)),
        }
        self.told.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Says something of the rooms that are partial; `None` until they were read.
    fn ask<T>(&self, question: impl FnOnce(&BTreeSet<RoomNumber>) -> T) -> Option<T> {
        match &*self.known() {
            Known::Changes(_) => None,
            Known::All(rooms) => Some(question(rooms)),
        }
    }

    /// What the store says of a moment at which the process ran.
    fn learn(&self, mut rooms: BTreeSet<RoomNumber>) {
        let mut known = self.known();
        if let Known::Changes(changes) = &*known {
            for (room, is_partial) in changes {
                if *is_partial {
                    rooms.insert(*room)
                } else {
                    rooms.remove(room)
                };
            }
            *known = Known::All(rooms);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    /// Is told whenever a room becomes partial, or whole.
    pub fn partial_changes(&self) -> watch::Receiver<u64> {
        self.0.partial.told.subscribe()
    }

    /// How many rooms there are of whose members only a few are known: mostly none. The store is read once.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn count_partial_now(&self) -> Result<usize, Unreadable> {
        self.ask_partial(BTreeSet::len).await
    }

    /// Whether only a few members of a room are known now. The store is read once.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn is_partial_now(&self, room: RoomNumber) -> Result<bool, Unreadable> {
        self.ask_partial(|rooms| rooms.contains(&room)).await
    }

    async fn ask_partial<T>(&self, question: impl Fn(&BTreeSet<RoomNumber>) -> T) -> Result<T, Unreadable> {
        let now = &self.0.partial;
        loop {
            if let Some(answer) = now.ask(&question) {
                return Ok(answer);
            }
            now.learn(self.reader()?.partial_numbers().await?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_while_the_store_is_read_for_the_first_time_is_not_forgotten() {
        let now = PartialNow::default();
        assert_eq!(now.ask(BTreeSet::len), None);
        now.tell(RoomNumber(1), true);
        now.tell(RoomNumber(2), true);
        now.tell(RoomNumber(2), false);
        // As it was before any of that.
        now.learn(BTreeSet::from([RoomNumber(2), RoomNumber(3)]));
        assert_eq!(now.ask(Clone::clone), Some(BTreeSet::from([RoomNumber(1), RoomNumber(3)])));
        now.tell(RoomNumber(3), false);
        // Somebody else read it at the same time.
        now.learn(BTreeSet::from([RoomNumber(3)]));
        assert_eq!(now.ask(Clone::clone), Some(BTreeSet::from([RoomNumber(1)])));
    }
}
