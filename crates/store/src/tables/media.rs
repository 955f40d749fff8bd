//! Media: what a tenant's users uploaded, over bytes that are kept once.
//!
//! The bytes themselves lie outside the store, under their SHA-256. Ownership, quotas and names are each tenant's own, and so
//! is what is kept of other servers.

use ruma_common::OwnedServerName;
use serde::{Deserialize, Serialize};

use crate::number::{TenantNumber, UserNumber};
use crate::table::{Table, TableId};

/// SHA-256 of bytes.
pub type BlobHash = [u8; 32];

/// What a tenant has, by media id.
pub const MEDIA: Table<(TenantNumber, String), MediaRow> = Table::new(TableId(140), "media");
/// Bytes that are kept.
pub const BLOBS: Table<BlobHash, BlobRow> = Table::new(TableId(141), "blobs");
/// How much a tenant has (`None`), and each of its users.
pub const MEDIA_USE: Table<(TenantNumber, Option<UserNumber>), MediaUseRow> =
    Table::new(TableId(142), "media_use");
/// Media ids that wait for their content, by the time at which they expire.
pub const PENDING_MEDIA: Table<(TenantNumber, UserNumber, i64, String), ()> =
    Table::new(TableId(143), "pending_media");
/// What a tenant keeps of other servers, by the server and its media id.
pub const OTHERS_MEDIA: Table<(TenantNumber, OwnedServerName, String), OthersMediaRow> =
    Table::new(TableId(144), "others_media");
/// The same by when it was last asked for, in milliseconds since the Unix epoch.
pub const OTHERS_MEDIA_USED: Table<(TenantNumber, i64, OwnedServerName, String), ()> =
    Table::new(TableId(145), "others_media_used");
/// How much a tenant keeps of other servers.
pub const OTHERS_MEDIA_SUM: Table<TenantNumber, MediaUseRow> = Table::new(TableId(146), "others_media_sum");
/// Bytes that a tenant withholds, or that are withheld from all (`None`).
pub const QUARANTINED: Table<(Option<TenantNumber>, BlobHash), QuarantinedRow> =
    Table::new(TableId(147), "quarantined");

/// Bytes that are withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedRow {
    /// Since when, in milliseconds since the Unix epoch.
    pub ts: i64,
}

/// A media id of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaRow {
    /// Who made it.
    pub uploader: UserNumber,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ts: i64,
    /// What is behind it.
    pub content: MediaContent,
}

/// What is behind a media id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaContent {
    /// Nothing yet.
    Pending {
        /// Until when it may be uploaded, in milliseconds since the Unix epoch.
        expires_ts: i64,
    },
    /// An uploaded file.
    Stored(StoredRow),
}

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRow {
    /// Its bytes.
    pub blob: BlobHash,
    /// How many they are.
    pub bytes: u64,
    /// When it was uploaded, in milliseconds since the Unix epoch.
    pub uploaded_ts: i64,
    /// Its type, as the uploader named it.
    pub content_type: Option<String>,
    /// Its name, as the uploader named it.
    pub filename: Option<String>,
}

/// A file of another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OthersMediaRow {
    /// The file; it counts as uploaded when it was fetched.
    pub file: StoredRow,
    /// When it was last asked for, in milliseconds since the Unix epoch.
    pub used_ts: i64,
}

/// Bytes that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRow {
    /// How many they are.
    pub bytes: u64,
    /// How many media ids they are behind, those of other servers for each tenant that keeps them.
    pub references: u64,
}

/// How much somebody has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaUseRow {
    /// Files.
    pub files: u64,
    /// Bytes of all of them, whether others have the same or not.
    pub bytes: u64,
}
