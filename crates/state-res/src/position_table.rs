//! Finding positions in a list by hash.

/// The positions of things in a list, by their hashes. The things themselves stay in the list.
///
/// Open addressing, at most half full. The hashes must come from a seeded function, which is what
/// keeps the probing short.
#[derive(Clone, Debug)]
pub(crate) struct PositionTable {
    /// The upper half of a hash, then a position plus one; 0 where nothing is.
    slots: Vec<u64>,
    mask: usize,
}

const UPPER: u64 = 0xffff_ffff_0000_0000;

impl PositionTable {
    /// A table for this many positions.
    pub(crate) fn for_positions(positions: usize) -> Self {
        let slots = positions.saturating_mul(2).next_power_of_two().max(4);
        Self { slots: vec![0; slots], mask: slots - 1 }
    }

    /// The position under this hash that `is_same` accepts.
    pub(crate) fn find(&self, hash: u64, is_same: impl FnMut(usize) -> bool) -> Option<usize> {
        self.probe(hash, is_same).ok()
    }

    /// The position that is probably the one with this hash.
    pub(crate) fn likely(&self, hash: u64) -> Option<usize> {
        self.find(hash, |_| true)
    }

    /// The position under this hash that `is_same` accepts; `position` is put there when none is.
    ///
    /// Positions must be below `u32::MAX`, and no more of them than the table was made for.
    pub(crate) fn find_or_insert(
        &mut self,
        hash: u64,
        position: usize,
        is_same: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        match self.probe(hash, is_same) {
            Ok(found) => Some(found),
            Err(empty) => {
                if let Some(slot) = self.slots.get_mut(empty) {
                    *slot = (hash & UPPER) | (position as u64 + 1);
                }
                None
            }
        }
    }

    /// The position, or the slot where it would be put.
    fn probe(&self, hash: u64, mut is_same: impl FnMut(usize) -> bool) -> Result<usize, usize> {
        let mut at = hash as usize & self.mask;
        // Ends at an empty slot: at least half of them are.
        while let Some(slot) = self.slots.get(at).copied().filter(|slot| *slot != 0) {
            let position = (slot as u32 - 1) as usize;
            if (slot ^ hash) & UPPER == 0 && is_same(position) {
                return Ok(position);
            }
            at = (at + 1) & self.mask;
        }
        Err(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_same_hash_or_slot_is_told_apart() {
        let things = ["a", "b", "c", "d", "e"];
        let hashes = [7, 7, 7 | (1 << 32), 8, u64::MAX];
        let mut table = PositionTable::for_positions(things.len());
        for (position, hash) in hashes.into_iter().enumerate() {
            let is_same = |other: usize| things[other] == things[position];
            assert_eq!(table.find_or_insert(hash, position, is_same), None, "{position}");
            assert_eq!(table.find_or_insert(hash, 9, is_same), Some(position), "{position}");
        }
        for (position, hash) in hashes.into_iter().enumerate() {
            assert_eq!(table.find(hash, |other| other == position), Some(position));
            assert_eq!(table.find(hash, |_| false), None);
        }
        assert_eq!(table.find(9 | (2 << 32), |_| true), None);
        assert_eq!(PositionTable::for_positions(0).find(0, |_| true), None);
    }
}
