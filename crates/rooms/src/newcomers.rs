//! Servers that came into rooms: who tells others what is not written down, who is online for example, tells them anew.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::RoomNumber;
use ruma_common::OwnedServerName;

use crate::rooms::Rooms;

/// A server in a room.
type Newcomer = (RoomNumber, OwnedServerName);

/// The servers that came into rooms since somebody last asked.
#[derive(Default)]
pub(crate) struct Newcomers(Mutex<BTreeSet<Newcomer>>);

/// How many are remembered; of more, nothing is said.
const NEWCOMERS_MAX: usize = 1_000;

impl Newcomers {
    /// A server came into a room.
    pub(crate) fn came(&self, room: RoomNumber, server: OwnedServerName) {
        let mut newcomers = self.lock();
        if newcomers.len() < NEWCOMERS_MAX {
            newcomers.insert((room, server));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Newcomer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    /// The servers, none of which is hosted here, that came into rooms that were here already, since this was last asked. A
    /// hint: they may be gone again.
    pub fn take_newcomers(&self) -> BTreeSet<(RoomNumber, OwnedServerName)> {
        std::mem::take(&mut *self.0.newcomers.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let newcomers = Newcomers::default();
        for number in 0..2 * NEWCOMERS_MAX {
            let server = OwnedServerName::try_from(format!("s{number}.example")).unwrap();
            newcomers.came(RoomNumber(1), server.clone());
            newcomers.came(RoomNumber(1), server);
        }
        assert_eq!(newcomers.lock().len(), NEWCOMERS_MAX);
    }
}
