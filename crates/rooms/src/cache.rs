//! Bounded caches in two generations.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A map that forgets what was not asked for lately, and never holds more than a number of bytes.
///
/// Two generations: what is asked for moves to the younger; when that holds half of the budget it becomes the older, and
/// what was left in the older is forgotten.
pub(crate) struct Cache<K, V> {
    generations: Mutex<Generations<K, V>>,
    bytes_max: usize,
}

struct Generations<K, V> {
    young: BTreeMap<K, (V, usize)>,
    old: BTreeMap<K, (V, usize)>,
    young_bytes: usize,
    old_bytes: usize,
}

impl<K: Ord + Clone, V: Clone> Cache<K, V> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let generations =
            Generations { young: BTreeMap::new(), old: BTreeMap::new(), young_bytes: 0, old_bytes: 0 };
        Cache { generations: Mutex::new(generations), bytes_max }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut generations = self.lock();
        if let Some((value, _)) = generations.young.get(key) {
            return Some(value.clone());
        }
        let (value, bytes) = generations.old.remove(key)?;
        generations.old_bytes = generations.old_bytes.saturating_sub(bytes);
        generations.insert(key.clone(), value.clone(), bytes, self.bytes_max);
        Some(value)
    }

    /// Keeps a value of this size, if `is_current` still holds once nobody else can change the cache.
    pub(crate) fn put_if(&self, key: K, value: V, bytes: usize, is_current: impl FnOnce() -> bool) {
        let mut generations = self.lock();
        if is_current() {
            generations.insert(key, value, bytes, self.bytes_max);
        }
    }

    pub(crate) fn put(&self, key: K, value: V, bytes: usize) {
        self.put_if(key, value, bytes, || true);
    }

    /// Forgets some values after `change`, which takes place while nobody else can change the cache.
    pub(crate) fn forget(&self, keys: impl IntoIterator<Item = K>, change: impl FnOnce()) {
        let mut generations = self.lock();
        change();
        for key in keys {
            if let Some((_, bytes)) = generations.old.remove(&key) {
                generations.old_bytes = generations.old_bytes.saturating_sub(bytes);
            }
            if let Some((_, bytes)) = generations.young.remove(&key) {
                generations.young_bytes = generations.young_bytes.saturating_sub(bytes);
            }
        }
    }

    /// How many bytes the values have.
    pub(crate) fn bytes(&self) -> usize {
        let generations = self.lock();
        generations.young_bytes.saturating_add(generations.old_bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Generations<K, V>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord, V> Generations<K, V> {
    fn insert(&mut self, key: K, value: V, bytes: usize, bytes_max: usize) {
        // What is larger than all that may be held would only drive out everything else.
        if bytes > bytes_max / 2 {
            return;
        }
        if self.young_bytes.saturating_add(bytes) > bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.old_bytes = std::mem::take(&mut self.young_bytes);
        }
        if let Some((_, replaced)) = self.old.remove(&key) {
            self.old_bytes = self.old_bytes.saturating_sub(replaced);
        }
        self.young_bytes = self.young_bytes.saturating_add(bytes);
        if let Some((_, replaced)) = self.young.insert(key, (value, bytes)) {
            self.young_bytes = self.young_bytes.saturating_sub(replaced);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let cache = Cache::new(100);
        for key in 0..20 {
            cache.put(key, key, 10);
            assert_eq!(cache.get(&0), Some(0));
        }
        assert_eq!(cache.get(&1), None);
        assert_eq!(cache.get(&19), Some(19));
        let generations = cache.lock();
        let held = generations.young.len() + generations.old.len();
        assert!(held <= 10, "{held}");
        drop(generations);
        assert!(cache.bytes() <= 100 && cache.bytes() == held * 10, "{}", cache.bytes());
        cache.put(99, 99, 51);
        assert_eq!(cache.get(&99), None, "it is larger than a generation");
    }

    #[test]
    fn what_is_forgotten_is_gone_from_both_generations() {
        let cache = Cache::new(40);
        (0..4).for_each(|key| cache.put(key, key, 10));
        cache.forget(0..4, || ());
        assert!((0..4).all(|key| cache.get(&key).is_none()));
        cache.put_if(7, 7, 10, || false);
        assert_eq!(cache.get(&7), None);
    }
}
