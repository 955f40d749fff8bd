//! Who asked for the devices of users of other servers, to be woken when those change.
//!
//! Rooms know who shares one with such a user, but only by looking into each room of each who might. Nothing but time depends
//! on what is remembered here: who is not woken hears of the change when the wait is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::UserNumber;

/// Users of tenants, by the users of other servers for whose devices they asked.
#[derive(Debug, Default)]
pub(crate) struct Watching(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    watchers: BTreeMap<UserNumber, BTreeSet<UserNumber>>,
    pairs: usize,
}

impl Watching {
    /// Somebody asked. Beyond `most` pairs all are forgotten; whoever goes on asking is soon known again.
    pub(crate) fn note(&self, of: UserNumber, watcher: UserNumber, most: usize) {
        let mut known = self.lock();
        if known.pairs >= most {
            *known = Known::default();
        }
        let is_new = known.watchers.entry(of).or_default().insert(watcher);
        known.pairs += usize::from(is_new);
    }

    /// Who asked for the devices of a user.
    pub(crate) fn of(&self, user: UserNumber) -> Vec<UserNumber> {
        self.lock().watchers.get(&user).into_iter().flatten().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_is_known_and_memory_is_bounded() {
        let watching = Watching::default();
        for watcher in [7, 8, 7] {
            watching.note(UserNumber(1), UserNumber(watcher), 3);
        }
        watching.note(UserNumber(2), UserNumber(7), 3);
        assert_eq!(watching.of(UserNumber(1)), [UserNumber(7), UserNumber(8)]);
        assert_eq!(watching.of(UserNumber(3)), []);
        watching.note(UserNumber(3), UserNumber(9), 3);
        assert_eq!((watching.of(UserNumber(1)), watching.of(UserNumber(3))), (vec![], vec![UserNumber(9)]));
    }
}
