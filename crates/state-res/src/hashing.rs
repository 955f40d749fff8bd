//! The hash function of the maps inside a resolution.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

/// A map that is only ever asked for single keys: its order never shows.
pub(crate) type Map<K, V> = std::collections::HashMap<K, V, Folding>;

/// Makes hashers that fold 64-bit words into each other by multiplication, under a seed that
/// strangers cannot know (that of the standard library's maps).
///
/// Resolution hashes a few short keys per event, and the standard hash function takes longer than
/// the rest of a look-up does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folding {
    seed: u64,
}

impl Default for Folding {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(0_u64) }
    }
}

impl BuildHasher for Folding {
    type Hasher = FoldingHasher;

    fn build_hasher(&self) -> FoldingHasher {
        FoldingHasher { state: self.seed, seed: self.seed | 1 }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct FoldingHasher {
    state: u64,
    seed: u64,
}

impl FoldingHasher {
    /// Digits of π: nothing up the sleeve.
    const MIXER: u64 = 0x243f_6a88_85a3_08d3;

    /// Two words with one multiplication, each under what nobody knows.
    fn fold_pair(&mut self, bytes: &[u8; 16]) {
        let pair = u128::from_le_bytes(*bytes);
        let [low, high] = [pair as u64, (pair >> 64) as u64];
        let product = u128::from(self.state ^ low) * u128::from(self.seed ^ Self::MIXER ^ high);
        let [a, b] = [product as u64, (product >> 64) as u64];
        self.state = (a ^ b).wrapping_add(low.rotate_left(29) ^ high);
    }

    /// Both halves of the product depend on all bits of both factors.
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.seed ^ Self::MIXER);
        let [low, high] = [product as u64, (product >> 64) as u64];
        self.state = (low ^ high).wrapping_add(word.rotate_left(29));
    }
}

/// Fewer than eight bytes as a word.
fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

impl Hasher for FoldingHasher {
    fn write(&mut self, bytes: &[u8]) {
        // Added to what nobody knows, so that no bytes make up for it.
        self.state = self.state.wrapping_add(bytes.len() as u64);
        // The last bytes overlap with those before, which is cheaper than to fill up fewer.
        if let Some(last) = bytes.last_chunk::<16>() {
            for pair in bytes.as_chunks::<16>().0 {
                self.fold_pair(pair);
            }
            self.fold_pair(last);
        } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            self.fold(u64::from_le_bytes(*first));
            self.fold(u64::from_le_bytes(*last));
        } else {
            self.fold(word_of(bytes));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.fold(u64::from(byte));
    }

    fn write_u32(&mut self, number: u32) {
        self.fold(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.fold(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.fold(number as u64);
    }

    fn finish(&self) -> u64 {
        // Once more, so that the last word reaches all bits too.
        let mut last = *self;
        last.fold(Self::MIXER.rotate_left(32));
        last.state
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_that_are_alike_have_hashes_that_are_not() {
        let hashing = Folding::default();
        let names: BTreeSet<String> =
            (0..20_000).map(|number| format!("@user{number}:example.org")).collect();
        let of_names: BTreeSet<u64> = names.iter().map(|name| hashing.hash_one(name)).collect();
        assert_eq!(of_names.len(), names.len());
        let low: BTreeSet<u64> = (0..20_000_u64).map(|number| hashing.hash_one(number) & 0xffff).collect();
        let high: BTreeSet<u64> = (0..20_000_u64).map(|number| hashing.hash_one(number) >> 48).collect();
        // 20,000 of 65,536 at random hit about 17,200 different values.
        assert!(low.len() > 16_000 && high.len() > 16_000, "{} {}", low.len(), high.len());
        assert_ne!(hashing.hash_one(("a", "bc")), hashing.hash_one(("ab", "c")));
        assert_ne!(Folding::default().hash_one(7), hashing.hash_one(7), "the seed is its own");
    }
}
