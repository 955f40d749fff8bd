//! Numbers that were given and are not known to be durable.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many identifiers of one kind are remembered: between this and twice as many.
///
/// Forgetting one is harmless: another batch may then get another number for it, and of the two batches the second
/// has no effect, because each is conditional on there being no other number.
const REMEMBERED: usize = 4096;

/// The numbers given to identifiers of one kind in this process, as far back as matters.
pub(crate) struct Pending<I>(Mutex<Generations<I>>);

struct Generations<I> {
    young: HashMap<I, u64>,
    old: HashMap<I, u64>,
}

impl<I> Default for Pending<I> {
    fn default() -> Self {
        Pending(Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() }))
    }
}

impl<I: Clone + Eq + Hash> Pending<I> {
    /// The number given to an identifier.
    pub(crate) fn find(&self, id: &I) -> Option<u64> {
        self.lock().find(id)
    }

    /// Remembers a new number for an identifier, unless it got another one in the meantime: returns which it has.
    pub(crate) fn remember(&self, id: &I, number: u64) -> u64 {
        let mut generations = self.lock();
        if let Some(number) = generations.find(id) {
            return number;
        }
        if generations.young.len() >= REMEMBERED {
            generations.old = mem::take(&mut generations.young);
        }
        generations.young.insert(id.clone(), number);
        number
    }

    fn lock(&self) -> MutexGuard<'_, Generations<I>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Eq + Hash> Generations<I> {
    fn find(&self, id: &I) -> Option<u64> {
        self.young.get(id).or_else(|| self.old.get(id)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_stays() {
        let pending = Pending::default();
        assert_eq!(pending.remember(&"one", 1), 1);
        assert_eq!(pending.remember(&"one", 2), 1);
        assert_eq!((pending.find(&"one"), pending.find(&"other")), (Some(1), None));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let pending = Pending::default();
        (0..10 * REMEMBERED as u64).for_each(|id| assert_eq!(pending.remember(&id, id), id));
        let generations = pending.lock();
        assert!(generations.young.len() + generations.old.len() <= 2 * REMEMBERED);
        assert_eq!(generations.find(&0), None);
    }
}
