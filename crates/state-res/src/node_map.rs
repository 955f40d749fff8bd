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

/// More room than for so many is made as it is needed: how much a stranger announces is no measure.
pub(crate) const EXPECTED_MAX: usize = 1 << 18;

/// The least number of nodes to make room for.
const FIRST: usize = 64;

/// How many nodes to make room for when that at `position` is written: doubling, so that nodes that
/// are met one after the other find their places made.
const fn room_for(position: usize) -> usize {
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

    /// With room for this many nodes and half as many that are met later.
    pub(crate) fn for_nodes(nodes: usize) -> Self {
        let nodes = nodes.saturating_add(nodes / 2).saturating_add(FIRST);
        Self { values: Vec::with_capacity(nodes.min(EXPECTED_MAX)) }
    }

    #[inline]
    pub(crate) fn get(&self, node: Node) -> T {
        self.values.get(node.position()).copied().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn set(&mut self, node: Node, value: T) {
        if let Some(slot) = self.slot(node) {
            *slot = value;
        }
    }

    /// The value to change; `None` only for [`Node::NONE`].
    #[inline]
    fn slot(&mut self, node: Node) -> Option<&mut T> {
        if node == Node::NONE {
            return None;
        }
        let position = node.position();
        if position >= self.values.len() {
            self.grow(position);
        }
        self.values.get_mut(position)
    }

    #[cold]
    fn grow(&mut self, position: usize) {
        let room =
            if position < self.values.capacity() { self.values.capacity() } else { room_for(position) };
        self.values.resize(room, T::default());
    }
}

/// Two sets of forks for every node: those that lead through the event (they have it in their state,
/// or reach it), and those that reach it over `auth_events`. One bit per fork.
#[derive(Clone, Debug)]
pub(crate) struct ForkSets {
    forks: usize,
    /// For every 64 forks what a word is when all are in it, and the words.
    words: Vec<(u64, NodeMap<Word>)>,
}

/// A word of both sets of an event.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    leading: u64,
    reached: u64,
}

impl ForkSets {
    pub(crate) fn new(forks: usize, nodes: usize) -> Self {
        let words =
            (0..forks.div_ceil(64).max(1)).map(|word| (full_word(forks, word), NodeMap::for_nodes(nodes)));
        Self { forks, words: words.collect() }
    }

    /// A fork has the event in its state.
    pub(crate) fn add_leading(&mut self, node: Node, fork: usize) {
        if fork < self.forks
            && let Some((_, words)) = self.words.get_mut(fork / 64)
            && let Some(word) = words.slot(node)
        {
            word.leading |= 1 << (fork % 64);
        }
    }

    /// The forks that lead through `other` lead through `node` too.
    pub(crate) fn join_leading(&mut self, node: Node, other: Node) {
        for (_, words) in &mut self.words {
            let forks = words.get(other).leading;
            if let Some(word) = words.slot(node) {
                word.leading |= forks;
            }
        }
    }

    /// All forks reach the event.
    pub(crate) fn add_all_forks(&mut self, node: Node) {
        for (full, words) in &mut self.words {
            words.set(node, Word { leading: *full, reached: *full });
        }
    }

    /// The forks that lead through `from` reach `to`. Says whether all forks lead through `to` now,
    /// and did not before.
    #[inline]
    pub(crate) fn pass_on(&mut self, from: Node, to: Node) -> bool {
        let (mut was_full, mut is_full) = (true, true);
        for (full, words) in &mut self.words {
            let forks = words.get(from).leading;
            let Some(word) = words.slot(to) else { return false };
            was_full &= word.leading == *full;
            word.leading |= forks;
            word.reached |= forks;
            is_full &= word.leading == *full;
        }
        is_full && !was_full
    }

    #[inline]
    pub(crate) fn is_reached(&self, node: Node) -> bool {
        self.words.iter().any(|(_, words)| words.get(node).reached != 0)
    }

    #[inline]
    pub(crate) fn is_reached_by_all(&self, node: Node) -> bool {
        self.words.iter().all(|(full, words)| words.get(node).reached == *full)
    }

    #[inline]
    pub(crate) fn is_led_through_by_all(&self, node: Node) -> bool {
        self.words.iter().all(|(full, words)| words.get(node).leading == *full)
    }
}

/// What a word is in the set of all forks.
const fn full_word(forks: usize, word: usize) -> u64 {
    let left = forks.saturating_sub(word * 64);
    if left >= 64 { u64::MAX } else { (1 << left) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_full_when_every_fork_is_in_it_whatever_their_number() {
        for forks in [1, 2, 63, 64, 65, 128, 200] {
            let mut sets = ForkSets::new(forks, 0);
            let (above, node) = (Node(100), Node(3));
            for fork in 0..forks {
                assert!(!sets.is_led_through_by_all(node), "{forks}");
                sets.add_leading(node, fork);
                assert_eq!(sets.pass_on(node, above), fork + 1 == forks, "{forks}");
                assert!(sets.is_reached(above) && !sets.is_reached(node), "{forks}");
                assert_eq!(sets.is_reached_by_all(above), fork + 1 == forks, "{forks}");
            }
            assert!(sets.is_led_through_by_all(node) && !sets.is_reached_by_all(node), "{forks}");
            assert!(!sets.pass_on(node, above), "{forks}: it is full already");
            sets.add_all_forks(node);
            assert!(sets.is_reached_by_all(node), "{forks}");
            assert!(!sets.is_reached(Node(2)) && !sets.is_led_through_by_all(Node(4)), "{forks}");
        }
    }
}
