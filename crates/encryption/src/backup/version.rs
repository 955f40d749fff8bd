//! Versions of a key backup.

use freehold_store::tables::encryption::{BACKED_UP_KEYS, BACKUP_VERSIONS, BackupVersionRow};
use freehold_store::{Actor, Batch, Order, ReadError, Snapshot, UserNumber};

use super::BackupError;
use crate::failure::Failure;
use crate::service::{ATTEMPTS, Encryption};

/// How the keys of a backup are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The algorithm.
    pub algorithm: String,
    /// What it needs, as a JSON object.
    pub auth_data: String,
}

/// A version of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupVersion {
    /// Its name.
    pub version: String,
    /// How its keys are encrypted.
    pub backup: Backup,
    /// How many keys it has.
    pub count: u64,
    /// Another one after each change of its keys.
    pub etag: String,
}

/// How many keys are deleted in one batch.
const DELETED_TOGETHER: usize = 1_000;

impl Encryption {
    /// Begins a new version of the actor's backup; the answer is its name.
    /// <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion>
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn create_backup(&self, actor: &Actor, backup: &Backup) -> Result<String, BackupError> {
        self.check_backup(backup)?;
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            let versions = versions(&snapshot, actor.user).await?;
            let (count, most) = (versions.len(), self.0.limits.backup.versions);
            if count >= most {
                return Err(BackupError::TooMuch { what: "backups", count: count as u64, most: most as u64 });
            }
            let number = versions.last().map_or(1, |(number, _)| number.saturating_add(1));
            let row = BackupVersionRow {
                algorithm: backup.algorithm.clone(),
                auth_data: backup.auth_data.clone(),
                etag: 0,
                count: 0,
                deleted: false,
            };
            let mut batch = Batch::new();
            batch.expect_absent(&BACKUP_VERSIONS, &(actor.user, number));
            batch.put(&BACKUP_VERSIONS, &(actor.user, number), &row);
            if self.commit(batch).await?.is_some() {
                return Ok(number.to_string());
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }

    /// A version of the actor's backup; the newest if none is named.
    ///
    /// # Errors
    /// [`BackupError::UnknownVersion`], [`BackupError::Failure`].
    pub async fn backup_version(
        &self,
        actor: &Actor,
        version: Option<&str>,
    ) -> Result<BackupVersion, BackupError> {
        let snapshot = self.snapshot()?;
        let (number, row) = match version {
            Some(version) => version_row(&snapshot, actor.user, version).await?,
            None => newest(&snapshot, actor.user).await?.ok_or(BackupError::UnknownVersion)?,
        };
        Ok(BackupVersion {
            version: number.to_string(),
            backup: Backup { algorithm: row.algorithm, auth_data: row.auth_data },
            count: row.count,
            etag: row.etag.to_string(),
        })
    }

    /// Changes the `auth_data` of a version.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn update_backup(
        &self,
        actor: &Actor,
        version: &str,
        backup: &Backup,
    ) -> Result<(), BackupError> {
        self.check_backup(backup)?;
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            let (number, row) = version_row(&snapshot, actor.user, version).await?;
            if row.algorithm != backup.algorithm {
                return Err(BackupError::OtherAlgorithm(row.algorithm));
            }
            let mut batch = Batch::new();
            batch.expect_unchanged(&BACKUP_VERSIONS, &(actor.user, number), Some(&row));
            let row = BackupVersionRow { auth_data: backup.auth_data.clone(), ..row };
            batch.put(&BACKUP_VERSIONS, &(actor.user, number), &row);
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }

    /// Deletes a version with its keys. To delete it again changes nothing.
    ///
    /// # Errors
    /// [`BackupError`]. If the store fails in the middle, the version is gone and some of its keys lie unseen until the
    /// deletion is repeated.
    pub async fn delete_backup(&self, actor: &Actor, version: &str) -> Result<(), BackupError> {
        let number = number(version)?;
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            let versions = versions(&snapshot, actor.user).await?;
            let newest = versions.last().map_or(0, |(number, _)| *number);
            let Some((_, row)) = versions.into_iter().find(|(found, _)| *found == number) else {
                // Versions are numbered from 1 without gaps, so this one was deleted.
                return if (1..newest).contains(&number) { Ok(()) } else { Err(BackupError::UnknownVersion) };
            };
            let place = (actor.user, number);
            let mut batch = Batch::new();
            batch.expect_unchanged(&BACKUP_VERSIONS, &place, Some(&row));
            batch.put(&BACKUP_VERSIONS, &place, &BackupVersionRow { deleted: true, ..row });
            if self.commit(batch).await?.is_some() {
                return Ok(self.purge(actor.user, number, newest).await?);
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }

    /// Removes the keys of a deleted version, and its row unless it says which number comes next.
    async fn purge(&self, user: UserNumber, number: u64, newest: u64) -> Result<(), Failure> {
        loop {
            let keys = self
                .snapshot()?
                .scan_prefix(&BACKED_UP_KEYS, &(user, number), Order::Ascending, DELETED_TOGETHER)
                .await?;
            let mut batch = Batch::new();
            keys.iter().for_each(|(place, _)| batch.delete(&BACKED_UP_KEYS, place));
            let last = keys.len() < DELETED_TOGETHER;
            if last && number != newest {
                batch.delete(&BACKUP_VERSIONS, &(user, number));
            }
            if !batch.is_empty() {
                self.commit(batch).await?;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// Removes all backups of a user who is gone.
    pub(crate) async fn remove_backups(&self, user: UserNumber) -> Result<(), Failure> {
        for (number, _) in versions(&self.snapshot()?, user).await? {
            // No row says any more which number comes next: there is no next.
            self.purge(user, number, 0).await?;
        }
        Ok(())
    }

    fn check_backup(&self, backup: &Backup) -> Result<(), BackupError> {
        let (bytes, most) = (backup.auth_data.len(), self.0.limits.backup.auth_data_bytes);
        if bytes > most {
            let what = "bytes of auth_data";
            return Err(BackupError::TooMuch { what, count: bytes as u64, most: most as u64 });
        }
        let object: Result<serde_json::Map<String, serde_json::Value>, _> =
            serde_json::from_str(&backup.auth_data);
        object.map(|_| ()).map_err(|_| BackupError::AuthData)
    }
}

fn number(version: &str) -> Result<u64, BackupError> {
    version.parse().map_err(|_| BackupError::UnknownVersion)
}

/// The versions of a user that have a row, the oldest first.
async fn versions(snapshot: &Snapshot, user: UserNumber) -> Result<Vec<(u64, BackupVersionRow)>, ReadError> {
    let rows = snapshot.scan_prefix(&BACKUP_VERSIONS, &user, Order::Ascending, usize::MAX).await?;
    Ok(rows.into_iter().map(|((_, number), row)| (number, row)).collect())
}

/// The newest version that was not deleted.
pub(super) async fn newest(
    snapshot: &Snapshot,
    user: UserNumber,
) -> Result<Option<(u64, BackupVersionRow)>, ReadError> {
    let versions = versions(snapshot, user).await?;
    Ok(versions.into_iter().rev().find(|(_, row)| !row.deleted))
}

/// A version that was not deleted.
pub(super) async fn version_row(
    snapshot: &Snapshot,
    user: UserNumber,
    version: &str,
) -> Result<(u64, BackupVersionRow), BackupError> {
    let number = number(version)?;
    let row = snapshot.get(&BACKUP_VERSIONS, &(user, number)).await?;
    let row = row.filter(|row| !row.deleted).ok_or(BackupError::UnknownVersion)?;
    Ok((number, row))
}
