//! `POST /keys/upload`: a device publishes its keys.

use std::collections::BTreeMap;

use freehold_store::{Actor, Batch, Snapshot};

use crate::devices::{self, Device};
use crate::document::InvalidDocument;
use crate::failure::Failure;
use crate::one_time_keys::NewKey;
use crate::service::{ATTEMPTS, Encryption};

/// What a device publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysUpload {
    /// Its identity keys, as JSON.
    pub device_keys: Option<String>,
    /// Keys that are used once.
    pub one_time_keys: Vec<KeyOfDevice>,
    /// Keys that are used when there are no others: at most one for each algorithm.
    pub fallback_keys: Vec<KeyOfDevice>,
}

/// A one-time or fallback key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOfDevice {
    /// Its algorithm.
    pub algorithm: String,
    /// Its id, without the algorithm.
    pub key_id: String,
    /// The key, as JSON.
    pub key: String,
}

impl Encryption {
    /// Publishes keys of the actor's device; the answer says how many one-time keys it has by algorithm.
    ///
    /// To upload again what is there already changes nothing, also if a one-time key was claimed in the meantime.
    /// <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload>
    ///
    /// # Errors
    /// [`UploadError`]; then nothing of the upload is kept.
    pub async fn upload_keys(
        &self,
        actor: &Actor,
        upload: &KeysUpload,
    ) -> Result<BTreeMap<String, u64>, UploadError> {
        let one_time_keys = self.checked(&upload.one_time_keys)?;
        let fallback_keys = self.checked(&upload.fallback_keys)?;
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            let device = self.own_device(&snapshot, actor).await?.ok_or(UploadError::NoDevice)?;
            let mut batch = Batch::new();
            if let Some(keys) = &upload.device_keys {
                self.put_device_keys(&snapshot, (actor, &device), keys, &mut batch).await?;
            }
            let counts = self.put_one_time_keys(&snapshot, &device, &one_time_keys, &mut batch).await?;
            self.put_fallback_keys(&snapshot, &device, &fallback_keys, &mut batch).await?;
            if batch.is_empty() || self.commit_for(&device, batch).await? {
                return Ok(counts);
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }

    /// How many one-time keys of each algorithm nobody has claimed, for the sync of a device.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn one_time_key_counts(
        &self,
        snapshot: &Snapshot,
        device: freehold_store::DeviceNumber,
    ) -> Result<BTreeMap<String, u64>, Failure> {
        Ok(crate::one_time_keys::counts(&self.count_row(snapshot, device).await?.unwrap_or_default()))
    }

    /// Commits unless the device is gone; whether nobody else was first.
    async fn commit_for(&self, device: &Device, mut batch: Batch) -> Result<bool, Failure> {
        devices::require(&mut batch, device.number);
        Ok(self.commit(batch).await?.is_some())
    }

    fn checked(&self, keys: &[KeyOfDevice]) -> Result<Vec<NewKey>, UploadError> {
        keys.iter().map(|key| NewKey::check(key, &self.0.limits)).collect()
    }
}

/// Why keys were not published.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The request comes from no device, or from one that is gone.
    #[error("request comes from no device")]
    NoDevice,
    /// The identity keys are malformed.
    #[error("device_keys: {0}")]
    DeviceKeys(#[source] InvalidDocument),
    /// A one-time or fallback key is malformed.
    #[error("key `{algorithm}:{key_id}`: {source}")]
    Key {
        /// Its algorithm.
        algorithm: String,
        /// Its id.
        key_id: String,
        /// What is wrong with it.
        source: InvalidDocument,
    },
    /// The identity keys name another user or device.
    #[error("device_keys: `{member}` is `{found}`, but the request comes from `{expected}`")]
    NotTheirs {
        /// Where.
        member: &'static str,
        /// Whom they name.
        found: String,
        /// Whose device uploads them.
        expected: String,
    },
    /// The identity keys are not signed by the device.
    #[error("device_keys: no valid signature with `{0}`")]
    NotSigned(String),
    /// The id of the device is the id of a cross-signing key.
    #[error("device id `{0}` is the id of a cross-signing key")]
    DeviceIdIsKey(String),
    /// There is another one-time key of this id. The words are those of Synapse, by which clients know the error.
    #[error("One time key {algorithm}:{key_id} already exists. Old key: {old}; new key: {new}")]
    KeyExists {
        /// The algorithm of both.
        algorithm: String,
        /// The id of both.
        key_id: String,
        /// The key that is there, as JSON.
        old: String,
        /// The key that is not taken, as JSON.
        new: String,
    },
    /// More keys than a device may have.
    #[error("device would have {count} {what}; at most {most} are kept")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it would have.
        count: usize,
        /// The bound.
        most: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<freehold_store::ReadError> for UploadError {
    fn from(error: freehold_store::ReadError) -> Self {
        UploadError::Failure(error.into())
    }
}
