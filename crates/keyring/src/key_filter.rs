//! A set of keys, at two to four bytes each, that may take a few others for its own.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Says of most keys that nobody has them, so that no record has to be read to know it.
///
/// A Bloom filter that grows by a layer twice as large as the one before when that one is full. It
/// takes fewer than one unknown key in a hundred for a known one.
#[derive(Default)]
pub(crate) struct KeyFilter {
    layers: Vec<Layer>,
}

impl KeyFilter {
    /// `false` only if the key was never inserted.
    pub(crate) fn may_have(&self, key: &[u8; 32]) -> bool {
        let hash = hash(key);
        self.layers.iter().any(|layer| layer.may_have(hash))
    }

    pub(crate) fn insert(&mut self, key: &[u8; 32]) {
        if self.may_have(key) {
            return;
        }
        if self.layers.last().is_none_or(|layer| layer.free == 0) {
            self.layers.push(Layer::new(FIRST_LAYER_KEYS << self.layers.len()));
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.insert(hash(key));
        }
    }
}

struct Layer {
    /// A power of two.
    words: Vec<u64>,
    /// For how many more keys there is room.
    free: usize,
}

const FIRST_LAYER_KEYS: usize = 1024;
const BITS_PER_KEY: usize = 16;
const PROBES: u64 = 8;

impl Layer {
    fn new(keys: usize) -> Self {
        Self { words: vec![0; keys * BITS_PER_KEY / 64], free: keys }
    }

    fn may_have(&self, hash: u64) -> bool {
        self.places(hash).all(|(word, bit)| self.words.get(word).is_some_and(|word| word & bit != 0))
    }

    fn insert(&mut self, hash: u64) {
        for (word, bit) in self.places(hash) {
            if let Some(word) = self.words.get_mut(word) {
                *word |= bit;
            }
        }
        self.free -= 1;
    }

    /// The word and the bit of each probe.
    fn places(&self, hash: u64) -> impl Iterator<Item = (usize, u64)> + use<> {
        let (first, step) = (hash & u64::from(u32::MAX), (hash >> 32) | 1);
        let last = self.words.len() as u64 * 64 - 1;
        (0..PROBES).map(move |probe| {
            let place = (first + probe * step) & last;
            ((place / 64) as usize, 1 << (place % 64))
        })
    }
}

/// Never stored, so it may differ between versions of the standard library.
fn hash(key: &[u8; 32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> [u8; 32] {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn every_key_is_known_again_and_few_others_are() {
        let mut filter = KeyFilter::default();
        assert!(!filter.may_have(&key(0)));
        (0..20_000).for_each(|number| filter.insert(&key(number)));
        assert!((0..20_000).all(|number| filter.may_have(&key(number))));
        let mistaken = (20_000..40_000).filter(|number| filter.may_have(&key(*number))).count();
        assert!(mistaken < 200, "{mistaken}");
    }

    #[test]
    fn a_key_takes_four_bytes_at_most_and_one_that_is_known_none() {
        let mut filter = KeyFilter::default();
        for round in 0..2 {
            (0..20_000).for_each(|number| filter.insert(&key(number)));
            let bytes: usize = filter.layers.iter().map(|layer| layer.words.len() * 8).sum();
            assert!(bytes <= 4 * 20_000, "{bytes} bytes in round {round}");
        }
    }
}
