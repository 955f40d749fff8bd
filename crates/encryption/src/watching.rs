//! Who asked for the devices of users of other servers, to be woken when those change.
//!
//! Rooms know who shares one with such a user, but only by looking into each room of each who might. Nothing but time depends
//! on what is remembered here: who is not woken hears of the change when the wait is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_store::{TenantNumber, UserNumber};

/// The list that a tenant has of the devices of a user of another server.
type List = (TenantNumber, UserNumber);

/// Users of tenants, by the lists for which they asked.
#[derive(Debug, Default)]
pub(crate) struct Watching(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    watchers: BTreeMap<List, BTreeSet<UserNumber>>,
    pairs: usize,
}

impl Watching {
    /// Somebody asked. Beyond `most` pairs all are forgotten; whoever goes on asking is soon known again.
    pub(crate) fn note(&self, of: List, watcher: UserNumber, most: usize) {
        let mut known = self.lock();
        if known.pairs >= most {
            *known = Known::default();
        }
        let is_new = known.watchers.entry(of).or_default().insert(watcher);
        known.pairs += usize::from(is_new);
    }

    /// Who asked for a list.
    pub(crate) fn of(&self, list: List) -> Vec<UserNumber> {
        self.lock().watchers.get(&list).into_iter().flatten().copied().collect()
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
        let list = |tenant: u32, user: u64| (TenantNumber(tenant), UserNumber(user));
        for watcher in [7, 8, 7] {
            watching.note(list(1, 1), UserNumber(watcher), 3);
        }
        watching.note(list(1, 2), UserNumber(7), 3);
        assert_eq!(watching.of(list(1, 1)), [UserNumber(7), UserNumber(8)]);
        assert_eq!((watching.of(list(1, 3)), watching.of(list(2, 1))), (vec![], vec![]));
        watching.note(list(1, 3), UserNumber(9), 3);
        assert_eq!((watching.of(list(1, 1)), watching.of(list(1, 3))), (vec![], vec![UserNumber(9)]));
    }
}
