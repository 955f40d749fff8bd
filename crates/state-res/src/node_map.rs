//! Facts about nodes of the graph, kept in arrays.

/// An event that has been met: a handle into the [`Graph`](crate::graph::Graph).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Node(pub(crate) u32);

impl Node {
    /// No event: whatever is asked about it is not known.
    pub(crate) const NONE: Self = Self(u32::MAX);

    pub(crate) const fn position(self) -> usize {
        self.0 as usize
    }
}

/// How many nodes to make room for when that at `position` is written: doubling, so that nodes that
/// are met one after the other find their places made.
const fn room_for(position: usize) -> usize {
    const FIRST: usize = 64;
    if position < FIRST { FIRST } else { (position + 1).next_power_of_two() }
}

/// One value for every node; nodes that were never written have the default.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeMap<T> {
    values: Vec<T>,
}

impl<T: Copy + Default> NodeMap<T> {
    pub(crate) const fn new() -> Self {
        Self { values: Vec::new() }
    }

    #[inline]
    pub(crate) fn get(&self, node: Node) -> T {
        self.values.get(node.position()).copied().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn set(&mut self, node: Node, value: T) {
        if node == Node::NONE {
            return;
        }
        let position = node.position();
        if position >= self.values.len() {
            self.values.resize(room_for(position), T::default());
        }
        if let Some(slot) = self.values.get_mut(position) {
            *slot = value;
        }
    }
}

/// A set of forks for every node: one bit per fork, as many words per node as that takes.
#[derive(Clone, Debug)]
pub(crate) struct ForkSets {
    forks: usize,
    words: usize,
    bits: Vec<u64>,
}

impl ForkSets {
    pub(crate) fn new(forks: usize) -> Self {
        Self { forks, words: forks.div_ceil(64).max(1), bits: Vec::new() }
    }

    /// Number of words in a set.
    pub(crate) const fn words(&self) -> usize {
        self.words
    }

    #[inline]
    pub(crate) fn word(&self, node: Node, word: usize) -> u64 {
        self.bits.get(node.position() * self.words + word).copied().unwrap_or(0)
    }

    /// Adds `forks` (one word of a set) to the set of `node`.
    #[inline]
    pub(crate) fn add_word(&mut self, node: Node, word: usize, forks: u64) {
        let position = node.position() * self.words + word;
        if position >= self.bits.len() {
            self.bits.resize(room_for(node.position()) * self.words, 0);
        }
        if let Some(slot) = self.bits.get_mut(position) {
            *slot |= forks;
        }
    }

    pub(crate) fn add_fork(&mut self, node: Node, fork: usize) {
        if fork < self.forks {
            self.add_word(node, fork / 64, 1 << (fork % 64));
        }
    }

    pub(crate) fn add_all_forks(&mut self, node: Node) {
        for word in 0..self.words {
            self.add_word(node, word, self.full_word(word));
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self, node: Node) -> bool {
        (0..self.words).all(|word| self.word(node, word) == 0)
    }

    #[inline]
    pub(crate) fn is_full(&self, node: Node) -> bool {
        (0..self.words).all(|word| self.word(node, word) == self.full_word(word))
    }

    /// What this word is in the set of all forks.
    pub(crate) const fn full_word(&self, word: usize) -> u64 {
        let left = self.forks.saturating_sub(word * 64);
        if left >= 64 { u64::MAX } else { (1 << left) - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_full_when_every_fork_is_in_it_whatever_their_number() {
        for forks in [1, 2, 63, 64, 65, 128, 200] {
            let mut sets = ForkSets::new(forks);
            let node = Node(3);
            assert!(sets.is_empty(node) && !sets.is_full(node), "{forks}");
            for fork in 0..forks {
                assert!(!sets.is_full(node), "{forks}");
                sets.add_fork(node, fork);
            }
            assert!(sets.is_full(node) && !sets.is_empty(node), "{forks}");
            assert!(sets.is_empty(Node(2)) && sets.is_empty(Node(4)), "{forks}");
        }
    }
}
