//! Server-side key backup: versions, each with room keys that only its owner can read
//! (<https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups>).
//!
//! Every change of a version's keys has the version's row as a condition and changes it, so that `count` and `etag` always
//! belong to the keys that are there.

mod keys;
mod version;

use std::collections::BTreeMap;

use freehold_store::ReadError;
use ruma_common::OwnedRoomId;

use crate::failure::Failure;

pub use keys::{BackupChange, BackupScope};
pub use version::{Backup, BackupVersion};

/// Entries of a room's sessions, as JSON, by session id.
pub type SessionKeys = BTreeMap<String, String>;

/// Entries by room.
pub type RoomKeys = BTreeMap<OwnedRoomId, SessionKeys>;

/// Bounds on key backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupLimits {
    /// Longest `auth_data` in bytes.
    pub auth_data_bytes: usize,
    /// Longest entry of a session in bytes: those of libolm are below 2 KiB.
    pub entry_bytes: usize,
    /// Most entries of a version.
    pub entries: u64,
    /// Most versions that a user has at the same time.
    pub versions: usize,
}

impl Default for BackupLimits {
    fn default() -> Self {
        BackupLimits { auth_data_bytes: 65_536, entry_bytes: 16 * 1024, entries: 1_000_000, versions: 64 }
    }
}

/// Why a request about a key backup failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no such version, or no version at all.
    #[error("unknown backup version")]
    UnknownVersion,
    /// There is no such key in the backup.
    #[error("key not found in the backup")]
    UnknownKey,
    /// Keys are written to the newest version only.
    #[error("backup version `{current}` is the current one")]
    WrongVersion {
        /// The newest version.
        current: String,
    },
    /// The algorithm of a version does not change.
    #[error("algorithm of this backup is `{0}`")]
    OtherAlgorithm(String),
    /// An entry is malformed.
    #[error("rooms.{room_id}.sessions.{session_id}: {reason}")]
    Entry {
        /// Its room.
        room_id: String,
        /// Its session.
        session_id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `auth_data` is malformed.
    #[error("auth_data is not an object")]
    AuthData,
    /// Over a bound.
    #[error("{count} {what}; at most {most} are kept")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much it would be.
        count: u64,
        /// The bound.
        most: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<ReadError> for BackupError {
    fn from(error: ReadError) -> Self {
        BackupError::Failure(error.into())
    }
}
