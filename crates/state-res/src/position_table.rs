//! Finding positions in a list by hash.

/// The positions of things in a list, by their hashes. The things themselves stay in the list.
///
/// Open addressing, at most half full. The hashes must come from a seeded function, which is what
/// keeps the probing short.
#[derive(Clone, Debug)]
pub(crate) struct PositionTable {
    /// A position plus one in as many bits as number the slots, above them what fits of a hash; 0 where nothing is.
    slots: Vec<u32>,
    mask: u32,
}

impl PositionTable {
    /// For so many positions a slot has room, with a bit of a hash.
    pub(crate) const POSITIONS_MAX: usize = 1 << 30;

    /// A table for this many positions, [`PositionTable::POSITIONS_MAX`] at most.
    pub(crate) fn for_positions(positions: usize) -> Self {
        let slots = (positions.min(Self::POSITIONS_MAX) * 2).next_power_of_two().max(4);
        Self { slots: vec![0; slots], mask: u32::try_from(slots - 1).unwrap_or(u32::MAX) }
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
    /// Positions must be below the number for which the table was made.
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
                    *slot = (upper(hash) & !self.mask) | ((position as u32 + 1) & self.mask);
                }
                None
            }
        }
    }

    /// The position, or the slot where it would be put.
    fn probe(&self, hash: u64, mut is_same: impl FnMut(usize) -> bool) -> Result<usize, usize> {
        let mut at = hash as u32 & self.mask;
        // Ends at an empty slot: at least half of them are.
        while let Some(slot) = self.slots.get(at as usize).copied().filter(|slot| *slot != 0) {
            let position = (slot & self.mask).wrapping_sub(1) as usize;
            if (slot ^ upper(hash)) & !self.mask == 0 && is_same(position) {
                return Ok(position);
            }
            at = at.wrapping_add(1) & self.mask;
        }
        Err(at as usize)
    }
}

/// The half of a hash that does not choose the slot.
const fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_same_hash_or_slot_is_told_apart() {
        let things = ["a", "b", "c", "d", "e"];
        let hashes = [7, 7, 7 | (1 << 63), 8, u64::MAX];
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
        assert_eq!(table.find(9 | (1 << 62), |_| true), None);
        assert_eq!(PositionTable::for_positions(0).find(0, |_| true), None);
    }
}
