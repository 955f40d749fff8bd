//! The keys in a backup.

use std::cmp::Reverse;

use freehold_store::tables::encryption::{BACKED_UP_KEYS, BACKUP_VERSIONS, BackedUpKeyRow, BackupVersionRow};
use freehold_store::{Actor, Batch, Order, ReadError, Snapshot, UserNumber};
use ruma_common::OwnedRoomId;
use serde::Deserialize;

use super::version::{newest, version_row};
use super::{BackupError, BackupLimits, RoomKeys};
use crate::failure::Failure;
use crate::service::{ATTEMPTS, Encryption};

/// What a version is after a change of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupChange {
    /// How many keys it has.
    pub count: u64,
    /// Another one after each change of its keys.
    pub etag: String,
}

/// Which keys of a version are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupScope {
    /// All of them.
    All,
    /// Those of a room.
    Room(OwnedRoomId),
    /// That of a session.
    Session(OwnedRoomId, String),
}

type Place = (UserNumber, u64, OwnedRoomId, String);

impl Encryption {
    /// Writes keys to the newest version. Of two keys for a session the better one is kept.
    /// <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeys>
    ///
    /// # Errors
    /// [`BackupError`]; then none was written.
    pub async fn put_backup_keys(
        &self,
        actor: &Actor,
        version: &str,
        keys: &RoomKeys,
    ) -> Result<BackupChange, BackupError> {
        let entries = entries(keys, &self.0.limits.backup)?;
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            let (number, before) = writable(&snapshot, actor.user, version).await?;
            let mut row = before.clone();
            let mut batch = Batch::new();
            let places: Vec<Place> = entries
                .iter()
                .map(|(room_id, session, _)| (actor.user, number, (*room_id).clone(), (*session).to_owned()))
                .collect();
            let held = snapshot.get_many(&BACKED_UP_KEYS, &places).await?;
            for ((place, held), (.., new)) in places.iter().zip(held).zip(&entries) {
                if held.as_ref().is_none_or(|held| is_better(new, held)) {
                    row.count += u64::from(held.is_none());
                    batch.put(&BACKED_UP_KEYS, place, new);
                }
            }
            let most = self.0.limits.backup.entries;
            if row.count > most {
                return Err(BackupError::TooMuch { what: "backed-up keys", count: row.count, most });
            }
            if let Some(change) = self.change((actor.user, number), &before, row, batch).await? {
                return Ok(change);
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }

    /// Reads keys of a version.
    ///
    /// # Errors
    /// [`BackupError`]; [`BackupError::UnknownKey`] only for a single session.
    pub async fn backup_keys(
        &self,
        actor: &Actor,
        version: &str,
        scope: &BackupScope,
    ) -> Result<RoomKeys, BackupError> {
        let snapshot = self.snapshot()?;
        let (number, _) = version_row(&snapshot, actor.user, version).await?;
        let rows = rows_of(&snapshot, (actor.user, number), scope).await?;
        if rows.is_empty() && matches!(scope, BackupScope::Session(..)) {
            return Err(BackupError::UnknownKey);
        }
        let mut keys = RoomKeys::new();
        for ((_, _, room_id, session), row) in rows {
            keys.entry(room_id).or_default().insert(session, row.entry);
        }
        Ok(keys)
    }

    /// Deletes keys of a version.
    ///
    /// # Errors
    /// [`BackupError`]; then none was deleted.
    pub async fn delete_backup_keys(
        &self,
        actor: &Actor,
        version: &str,
        scope: &BackupScope,
    ) -> Result<BackupChange, BackupError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            let (number, before) = version_row(&snapshot, actor.user, version).await?;
            let rows = rows_of(&snapshot, (actor.user, number), scope).await?;
            let mut row = before.clone();
            row.count = row.count.saturating_sub(rows.len() as u64);
            let mut batch = Batch::new();
            rows.iter().for_each(|(place, _)| batch.delete(&BACKED_UP_KEYS, place));
            if let Some(change) = self.change((actor.user, number), &before, row, batch).await? {
                return Ok(change);
            }
        }
        Err(Failure::Busy(ATTEMPTS).into())
    }

    /// Commits a change of keys with the row of their version; `None` if somebody else was first.
    async fn change(
        &self,
        place: (UserNumber, u64),
        before: &BackupVersionRow,
        mut row: BackupVersionRow,
        mut batch: Batch,
    ) -> Result<Option<BackupChange>, Failure> {
        if !batch.is_empty() {
            row.etag += 1;
            batch.expect_unchanged(&BACKUP_VERSIONS, &place, Some(before));
            batch.put(&BACKUP_VERSIONS, &place, &row);
            if self.commit(batch).await?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(BackupChange { count: row.count, etag: row.etag.to_string() }))
    }
}

/// The version if it is the newest one.
async fn writable(
    snapshot: &Snapshot,
    user: UserNumber,
    version: &str,
) -> Result<(u64, BackupVersionRow), BackupError> {
    let asked = version_row(snapshot, user, version).await?;
    match newest(snapshot, user).await? {
        Some((current, _)) if current != asked.0 => {
            Err(BackupError::WrongVersion { current: current.to_string() })
        }
        Some(_) | None => Ok(asked),
    }
}

async fn rows_of(
    snapshot: &Snapshot,
    (user, version): (UserNumber, u64),
    scope: &BackupScope,
) -> Result<Vec<(Place, BackedUpKeyRow)>, ReadError> {
    let (order, all) = (Order::Ascending, usize::MAX);
    match scope {
        BackupScope::All => snapshot.scan_prefix(&BACKED_UP_KEYS, &(user, version), order, all).await,
        BackupScope::Room(room_id) => {
            let prefix = (user, version, room_id.clone());
            snapshot.scan_prefix(&BACKED_UP_KEYS, &prefix, order, all).await
        }
        BackupScope::Session(room_id, session) => {
            let place = (user, version, room_id.clone(), session.clone());
            let row = snapshot.get(&BACKED_UP_KEYS, &place).await?;
            Ok(row.map(|row| (place, row)).into_iter().collect())
        }
    }
}

/// Which of two keys for a session is kept
/// (<https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups>).
fn is_better(new: &BackedUpKeyRow, held: &BackedUpKeyRow) -> bool {
    // If the keys have different values for `is_verified`, then it will keep the key that has
    // `is_verified` set to `true`; if they have the same values for `is_verified`, then it will keep
    // the key with a lower `first_message_index`; and finally, if `is_verified` and
    // `first_message_index` are equal, then it will keep the key with a lower `forwarded_count`.
    let rank = |row: &BackedUpKeyRow| {
        (row.is_verified, Reverse(row.first_message_index), Reverse(row.forwarded_count))
    };
    rank(new) > rank(held)
}

/// What the server reads of an entry.
#[derive(Deserialize)]
struct Entry {
    first_message_index: u64,
    forwarded_count: u64,
    is_verified: bool,
    #[serde(rename = "session_data")]
    _session_data: serde_json::Map<String, serde_json::Value>,
}

type NewEntry<'k> = (&'k OwnedRoomId, &'k str, BackedUpKeyRow);

fn entries<'k>(keys: &'k RoomKeys, limits: &BackupLimits) -> Result<Vec<NewEntry<'k>>, BackupError> {
    let all = keys.iter().flat_map(|(room_id, sessions)| {
        sessions.iter().map(move |(session, text)| (room_id, session.as_str(), text.as_str()))
    });
    all.map(|(room_id, session, text)| {
        let row = entry(text, limits).map_err(|reason| BackupError::Entry {
            room_id: room_id.to_string(),
            session_id: session.to_owned(),
            reason,
        })?;
        Ok((room_id, session, row))
    })
    .collect()
}

fn entry(text: &str, limits: &BackupLimits) -> Result<BackedUpKeyRow, String> {
    if text.len() > limits.entry_bytes {
        return Err(format!("{} bytes; at most {} are kept", text.len(), limits.entry_bytes));
    }
    let Entry { first_message_index, forwarded_count, is_verified, .. } =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(BackedUpKeyRow { first_message_index, forwarded_count, is_verified, entry: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_key_is_the_verified_then_the_earlier_then_the_less_forwarded_one() {
        let row = |(is_verified, first_message_index, forwarded_count)| BackedUpKeyRow {
            first_message_index,
            forwarded_count,
            is_verified,
            entry: String::new(),
        };
        let from_worst_to_best =
            [(false, 9, 9), (false, 9, 1), (false, 2, 9), (true, 9, 9), (true, 9, 0), (true, 0, 3)].map(row);
        for (i, worse) in from_worst_to_best.iter().enumerate() {
            for (j, better) in from_worst_to_best.iter().enumerate() {
                assert_eq!(is_better(better, worse), j > i, "{better:?} over {worse:?}");
            }
        }
    }
}
