//! Verifying faster with the keys that sign most.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    Claim, Signature, VerifyingKey, WrongSignature,
    comb::Comb,
    equation::{table_of, which_hold},
};

/// Tables for the keys that are used most, with which a signature takes about two thirds of the time to
/// verify. The verdict is that of [`VerifyingKey::verify`] in every case.
///
/// A table takes 56 KB and as long to make as three verifications, so it is made when a key comes
/// again and again, and dropped when others come more often. A [`KeySource`](crate::KeySource) that lives long keeps one of
/// these and names it in [`KeySource::prepared`](crate::KeySource::prepared); clones share the tables. All tables together share one of 0.7 MB for the
/// base point.
///
/// ```
/// use freehold_signing::{PreparedKeys, SigningKey};
///
/// let key = SigningKey::from_seed(&[7; 32]);
/// let signature = key.sign(b"hello");
/// let prepared = PreparedKeys::new(128);
/// for _ in 0..10 {
///     assert!(prepared.verify(key.verifying_key(), b"hello", &signature).is_ok());
///     assert!(prepared.verify(key.verifying_key(), b"hullo", &signature).is_err());
/// }
/// ```
#[derive(Clone)]
pub struct PreparedKeys {
    /// A key belongs into one of them, so that few others have to be looked at.
    sets: Arc<[Mutex<[Place; PLACES]>]>,
}

/// Places of a set.
const PLACES: usize = 4;
/// A table is made when a key is used for this time.
const USES_WORTH_A_TABLE: u32 = 8;
/// A key that was used so often keeps its place against as many others.
const USES_MAX: u32 = 64;

/// A key that was used, or was not for some time.
#[derive(Clone, Default)]
struct Place {
    key: [u8; VerifyingKey::BYTES],
    /// How often it was used, less how often others wanted its place; nobody has the place at 0.
    uses: u32,
    table: Option<Arc<Comb>>,
}

impl PreparedKeys {
    /// Tables for at most this many keys, rounded up to a multiple of 4. None is made before it is worth it.
    pub fn new(keys: usize) -> Self {
        let sets = (0..keys.div_ceil(PLACES).max(1)).map(|_| Mutex::default());
        Self { sets: sets.collect() }
    }

    /// [`VerifyingKey::verify`], with a table if the key has one.
    ///
    /// # Errors
    ///
    /// [`WrongSignature`] exactly where [`VerifyingKey::verify`] gives it.
    pub fn verify(
        &self,
        key: &VerifyingKey,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), WrongSignature> {
        match which_hold(&[Claim { key, message, signature }], Some(self)).as_slice() {
            [true] => Ok(()),
            _ => Err(WrongSignature),
        }
    }

    /// Notes a use of a key; the table that it has, or is worth now.
    pub(crate) fn table(&self, key: &VerifyingKey) -> Option<Arc<Comb>> {
        let bytes = key.as_bytes();
        let first = bytes.first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first) as usize);
        let set = self.sets.get(first % self.sets.len().max(1))?;
        // Whoever panicked while holding it left whole places behind: each is written at once.
        let mut places = set.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.iter_mut().find(|place| place.uses > 0 && place.key == *bytes) {
            place.uses = (place.uses + 1).min(USES_MAX);
            if place.table.is_none() && place.uses >= USES_WORTH_A_TABLE {
                place.table = Some(Arc::new(table_of(key)));
            }
            return place.table.clone();
        }
        let rarest = places.iter_mut().min_by_key(|place| place.uses)?;
        rarest.uses = rarest.uses.saturating_sub(1);
        if rarest.uses == 0 {
            *rarest = Place { key: *bytes, uses: 1, table: None };
        }
        None
    }
}

impl fmt::Debug for PreparedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedKeys").field("places", &(self.sets.len() * PLACES)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    fn key(number: u8) -> VerifyingKey {
        // One set: the tests are about what happens inside of it.
        SigningKey::from_seed(&[number; 32]).verifying_key().clone()
    }

    #[test]
    fn a_key_has_a_table_from_its_eighth_use_on() {
        let prepared = PreparedKeys::new(4);
        let uses_before = (0..20).take_while(|_| prepared.table(&key(1)).is_none()).count();
        assert_eq!(uses_before, 7);
        assert!(prepared.table(&key(1)).is_some());
    }

    #[test]
    fn strangers_that_come_once_each_do_not_take_the_places_of_those_that_come_often() {
        let prepared = PreparedKeys::new(4);
        for round in 0..20 {
            for often in 1..=3 {
                prepared.table(&key(often));
            }
            prepared.table(&key(100 + round));
        }
        assert!([1, 2, 3].iter().all(|often| prepared.table(&key(*often)).is_some()));
    }

    #[test]
    fn a_key_that_is_used_no_more_makes_room() {
        let prepared = PreparedKeys::new(4);
        for number in 1..=4 {
            (0..100).for_each(|_| drop(prepared.table(&key(number))));
        }
        for _ in 0..1_000 {
            prepared.table(&key(9));
        }
        assert!(prepared.table(&key(9)).is_some());
        let kept = prepared.sets[0].lock().unwrap().iter().filter(|place| place.table.is_some()).count();
        assert_eq!(kept, 4);
    }
}
