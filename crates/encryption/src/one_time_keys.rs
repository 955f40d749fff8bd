//! One-time and fallback keys as they are uploaded.
//!
//! All changes of a device's one-time keys have the row with their counts as a condition, and change it. So each of them is
//! decided on what is there when it takes effect, and no key can be claimed twice.

use std::collections::BTreeMap;

use freehold_canonical_json as json;
use freehold_store::tables::encryption::{
    FALLBACK_KEYS, FallbackKeyRow, ONE_TIME_KEY_COUNTS, ONE_TIME_KEY_IDS, ONE_TIME_KEYS, OneTimeKeyCount,
    OneTimeKeyCountsRow, OneTimeKeyIdRow,
};
use freehold_store::{Batch, DeviceNumber, Order, ReadError, Snapshot};
use sha2::{Digest, Sha256};

use crate::devices::Device;
use crate::document::{Document, InvalidDocument};
use crate::failure::Failure;
use crate::limits::Limits;
use crate::service::Encryption;
use crate::upload::{KeyOfDevice, UploadError};

/// A key that is well-formed.
#[derive(Clone, Debug)]
pub(crate) struct NewKey {
    algorithm: String,
    key_id: String,
    /// Canonical JSON.
    key: String,
    digest: [u8; 16],
}

impl NewKey {
    /// Reads a key. Its signature is not checked: who claims it does, with the device's keys.
    pub(crate) fn check(key: &KeyOfDevice, limits: &Limits) -> Result<Self, UploadError> {
        let KeyOfDevice { algorithm, key_id, key: text } = key;
        let read = || match algorithm.as_str() {
            "signed_curve25519" => signed_key(text, limits),
            _ => any_key(text, limits),
        };
        let invalid =
            |source| UploadError::Key { algorithm: algorithm.clone(), key_id: key_id.clone(), source };
        let (key, signed) = read().map_err(invalid)?;
        let digest = Sha256::digest(signed.as_bytes());
        let digest = digest.first_chunk().copied().unwrap_or_default();
        Ok(NewKey { algorithm: algorithm.clone(), key_id: key_id.clone(), key, digest })
    }
}

/// The whole of a signed key, and what its signatures cover.
fn signed_key(text: &str, limits: &Limits) -> Result<(String, String), InvalidDocument> {
    let document = Document::parse(text, limits.key_bytes)?;
    document.text("key")?;
    if !document.object().contains_key("signatures") {
        return Err(InvalidDocument::member("signatures", "an object of signatures by user and key"));
    }
    let whole = String::from_utf8(document.object().to_canonical_vec()).unwrap_or_default();
    Ok((whole, document.signed_text()))
}

/// A key of an algorithm that the server does not know.
fn any_key(text: &str, limits: &Limits) -> Result<(String, String), InvalidDocument> {
    if text.trim_start().starts_with('{') {
        let document = Document::parse(text, limits.key_bytes)?;
        let whole = String::from_utf8(document.object().to_canonical_vec()).unwrap_or_default();
        return Ok((whole, document.signed_text()));
    }
    if text.len() > limits.key_bytes {
        return Err(InvalidDocument::TooLong { bytes: text.len(), most: limits.key_bytes });
    }
    let value = json::parse(text.as_bytes(), &json::Limits::STRICT)?;
    value.as_str().ok_or_else(|| InvalidDocument::member("", "a string or an object"))?;
    let whole = String::from_utf8(value.to_canonical_vec()).unwrap_or_default();
    Ok((whole.clone(), whole))
}

impl Encryption {
    /// The counts of a device's one-time keys.
    pub(crate) async fn count_row(
        &self,
        snapshot: &Snapshot,
        device: DeviceNumber,
    ) -> Result<Option<OneTimeKeyCountsRow>, Failure> {
        Ok(snapshot.get(&ONE_TIME_KEY_COUNTS, &device).await?)
    }

    /// Adds the upload of one-time keys; the answer is how many there will be.
    pub(crate) async fn put_one_time_keys(
        &self,
        snapshot: &Snapshot,
        device: &Device,
        keys: &[NewKey],
        batch: &mut Batch,
    ) -> Result<BTreeMap<String, u64>, UploadError> {
        let before = self.count_row(snapshot, device.number).await?;
        let mut row = before.clone().unwrap_or_default();
        let new = unknown_keys(snapshot, device.number, keys).await?;
        if new.is_empty() {
            return Ok(counts(&row));
        }
        new.iter().for_each(|key| of_algorithm(&mut row, &key.algorithm).unclaimed += 1);
        self.check_bounds(&row)?;
        row.revision += 1;
        batch.expect_unchanged(&ONE_TIME_KEY_COUNTS, &device.number, before.as_ref());
        batch.put(&ONE_TIME_KEY_COUNTS, &device.number, &row);
        let device = device.number;
        batch.at_position(move |position, writes| {
            for NewKey { algorithm, key_id, key, digest } in new {
                let id_row = OneTimeKeyIdRow { digest, unclaimed: Some(position) };
                writes.put(&ONE_TIME_KEY_IDS, &(device, algorithm.clone(), key_id.clone()), &id_row);
                writes.put(&ONE_TIME_KEYS, &(device, algorithm, position, key_id), &key);
            }
        });
        Ok(counts(&row))
    }

    fn check_bounds(&self, row: &OneTimeKeyCountsRow) -> Result<(), UploadError> {
        let limits = &self.0.limits;
        let keys: usize = row.algorithms.iter().map(|one| one.unclaimed as usize).sum();
        let too_many = |what, count, most| Err(UploadError::TooMany { what, count, most });
        if keys > limits.one_time_keys_per_device {
            return too_many("one-time keys", keys, limits.one_time_keys_per_device);
        }
        if row.algorithms.len() > limits.algorithms_per_device {
            return too_many("key algorithms", row.algorithms.len(), limits.algorithms_per_device);
        }
        Ok(())
    }

    /// Adds the upload of fallback keys: each takes the place of the one before it.
    pub(crate) async fn put_fallback_keys(
        &self,
        snapshot: &Snapshot,
        device: &Device,
        keys: &[NewKey],
        batch: &mut Batch,
    ) -> Result<(), UploadError> {
        if keys.is_empty() {
            return Ok(());
        }
        let held = snapshot.scan_prefix(&FALLBACK_KEYS, &device.number, Order::Ascending, usize::MAX).await?;
        let mut held: BTreeMap<String, FallbackKeyRow> =
            held.into_iter().map(|((_, algorithm), row)| (algorithm, row)).collect();
        for NewKey { algorithm, key_id, key, .. } in keys {
            let row = FallbackKeyRow { key_id: key_id.clone(), key: key.clone(), used: false };
            let before = held.insert(algorithm.clone(), row.clone());
            // The same key again is the same upload again: who used it still did.
            if before.is_none_or(|before| before.key_id != row.key_id || before.key != row.key) {
                batch.put(&FALLBACK_KEYS, &(device.number, algorithm.clone()), &row);
            }
        }
        let most = self.0.limits.algorithms_per_device;
        if held.len() > most {
            return Err(UploadError::TooMany { what: "fallback keys", count: held.len(), most });
        }
        Ok(())
    }

    /// The algorithms of the fallback keys that nobody has used, for the sync of a device.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn unused_fallback_types(
        &self,
        snapshot: &Snapshot,
        device: DeviceNumber,
    ) -> Result<Vec<String>, Failure> {
        let held = snapshot.scan_prefix(&FALLBACK_KEYS, &device, Order::Ascending, usize::MAX).await?;
        let unused = held.into_iter().filter(|(_, row)| !row.used);
        Ok(unused.map(|((_, algorithm), _)| algorithm).collect())
    }
}

/// Those of the keys that are not there yet. A key that was claimed lately counts as there.
async fn unknown_keys(
    snapshot: &Snapshot,
    device: DeviceNumber,
    keys: &[NewKey],
) -> Result<Vec<NewKey>, UploadError> {
    let ids: Vec<_> = keys.iter().map(|key| (device, key.algorithm.clone(), key.key_id.clone())).collect();
    let rows = snapshot.get_many(&ONE_TIME_KEY_IDS, &ids).await?;
    let mut unknown: BTreeMap<(&str, &str), NewKey> = BTreeMap::new();
    for (key, row) in keys.iter().zip(rows) {
        match row {
            Some(row) if row.digest == key.digest => {}
            Some(OneTimeKeyIdRow { unclaimed: Some(position), .. }) => {
                let place = (device, key.algorithm.clone(), position, key.key_id.clone());
                let old = snapshot.get(&ONE_TIME_KEYS, &place).await?.unwrap_or_default();
                return Err(key_exists(key, old));
            }
            // A device that counts its keys anew after it lost them: another key than the one that was claimed.
            Some(_) | None => {
                unknown.insert((&key.algorithm, &key.key_id), key.clone());
            }
        }
    }
    Ok(unknown.into_values().collect())
}

fn key_exists(key: &NewKey, old: String) -> UploadError {
    let NewKey { algorithm, key_id, key, .. } = key.clone();
    UploadError::KeyExists { algorithm, key_id, old, new: key }
}

/// The counts of a row, by algorithm.
pub(crate) fn counts(row: &OneTimeKeyCountsRow) -> BTreeMap<String, u64> {
    row.algorithms.iter().map(|one| (one.algorithm.clone(), u64::from(one.unclaimed))).collect()
}

/// The counts of one algorithm in a row, which gets them if it has none.
pub(crate) fn of_algorithm<'r>(row: &'r mut OneTimeKeyCountsRow, algorithm: &str) -> &'r mut OneTimeKeyCount {
    let place = row.algorithms.partition_point(|one| one.algorithm.as_str() < algorithm);
    if row.algorithms.get(place).is_none_or(|one| one.algorithm != algorithm) {
        let count = OneTimeKeyCount { algorithm: algorithm.to_owned(), unclaimed: 0, remembered: 0 };
        row.algorithms.insert(place, count);
    }
    #[expect(clippy::indexing_slicing, reason = "it was found or put there")]
    &mut row.algorithms[place]
}

/// Adds the removal of all one-time and fallback keys of a device.
pub(crate) async fn delete_keys(
    snapshot: &Snapshot,
    device: DeviceNumber,
    batch: &mut Batch,
) -> Result<(), ReadError> {
    use freehold_store::tables::encryption::CLAIMED_KEYS;
    let all = (Order::Ascending, usize::MAX);
    let keys = snapshot.scan_prefix(&ONE_TIME_KEYS, &device, all.0, all.1).await?;
    keys.iter().for_each(|(key, _)| batch.delete(&ONE_TIME_KEYS, key));
    let ids = snapshot.scan_prefix(&ONE_TIME_KEY_IDS, &device, all.0, all.1).await?;
    ids.iter().for_each(|(key, _)| batch.delete(&ONE_TIME_KEY_IDS, key));
    let claimed = snapshot.scan_prefix(&CLAIMED_KEYS, &device, all.0, all.1).await?;
    claimed.iter().for_each(|(key, ())| batch.delete(&CLAIMED_KEYS, key));
    let fallback = snapshot.scan_prefix(&FALLBACK_KEYS, &device, all.0, all.1).await?;
    fallback.iter().for_each(|(key, _)| batch.delete(&FALLBACK_KEYS, key));
    batch.delete(&ONE_TIME_KEY_COUNTS, &device);
    Ok(())
}
