//! End-to-end encryption: what devices publish, what they send each other, what they back up.
//!
//! The server reads none of it but what it needs to keep the rules; documents are kept as the JSON texts that they came as.

use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::number::{DeviceNumber, Position, TenantNumber, UserNumber};
use crate::table::{Table, TableId};

/// The identity keys of a user's device, by device id.
pub const DEVICE_KEYS: Table<(UserNumber, String), DeviceKeysRow> = Table::new(TableId(90), "device_keys");
/// The cross-signing keys of a user, as canonical JSON without signatures.
pub const CROSS_SIGNING_KEYS: Table<(UserNumber, CrossSigningUse), CrossSigningKeyRow> =
    Table::new(TableId(91), "cross_signing_keys");
/// Signatures of keys: whose key, its id (a device id or a public key in base64), who signed, with which key
/// (`ed25519:` and a device id or public key); the row is the signature.
pub const KEY_SIGNATURES: Table<(UserNumber, String, UserNumber, String), String> =
    Table::new(TableId(92), "key_signatures");
/// One-time keys nobody has claimed, by algorithm in the order of upload; the row is the key's JSON.
pub const ONE_TIME_KEYS: Table<(DeviceNumber, String, Position, String), String> =
    Table::new(TableId(93), "one_time_keys");
/// What is known of a one-time key, by algorithm and key id: also of those claimed lately.
pub const ONE_TIME_KEY_IDS: Table<(DeviceNumber, String, String), OneTimeKeyIdRow> =
    Table::new(TableId(94), "one_time_key_ids");
/// The one-time keys claimed lately, by algorithm in the order of claims.
pub const CLAIMED_KEYS: Table<(DeviceNumber, String, Position, String), ()> =
    Table::new(TableId(95), "claimed_keys");
/// How many one-time keys a device has. Every change of them changes this row, and has it as a condition.
pub const ONE_TIME_KEY_COUNTS: Table<DeviceNumber, OneTimeKeyCountsRow> =
    Table::new(TableId(96), "one_time_key_counts");
/// The fallback key of a device for an algorithm.
pub const FALLBACK_KEYS: Table<(DeviceNumber, String), FallbackKeyRow> =
    Table::new(TableId(97), "fallback_keys");
/// When the device list of a user of a tenant last changed.
pub const DEVICE_LISTS: Table<UserNumber, Position> = Table::new(TableId(98), "device_lists");
/// The users by the last change of their device list: one entry for each.
pub const DEVICE_LIST_CHANGES: Table<(Position, UserNumber), ()> =
    Table::new(TableId(99), "device_list_changes");
/// Messages that wait for a device, in order of arrival.
pub const TO_DEVICE: Table<(DeviceNumber, Position), ToDeviceRow> = Table::new(TableId(100), "to_device");
/// When a device sent the to-device messages of a type under a transaction id, in milliseconds since the Unix epoch.
pub const TO_DEVICE_SENT: Table<(DeviceNumber, String, String), i64> =
    Table::new(TableId(101), "to_device_sent");
/// The same by age, so that old ones can be forgotten.
pub const TO_DEVICE_SENT_AGES: Table<(DeviceNumber, i64, String, String), ()> =
    Table::new(TableId(102), "to_device_sent_ages");
/// The versions of a user's key backup, also those deleted.
pub const BACKUP_VERSIONS: Table<(UserNumber, u64), BackupVersionRow> =
    Table::new(TableId(103), "backup_versions");
/// Backed-up room keys, by version, room and session.
pub const BACKED_UP_KEYS: Table<(UserNumber, u64, OwnedRoomId, String), BackedUpKeyRow> =
    Table::new(TableId(104), "backed_up_keys");
/// The users whose master keys a user signed lately, by when; only the signer sees it.
pub const SIGNED_USERS: Table<(UserNumber, Position), UserNumber> = Table::new(TableId(105), "signed_users");
/// When a tenant got the to-device messages that a server sent under a message id, in milliseconds since the Unix epoch.
pub const TO_DEVICE_RECEIVED: Table<(TenantNumber, OwnedServerName, String), i64> =
    Table::new(TableId(106), "to_device_received");
/// The same by age, so that old ones can be forgotten.
pub const TO_DEVICE_RECEIVED_AGES: Table<(TenantNumber, OwnedServerName, i64, String), ()> =
    Table::new(TableId(107), "to_device_received_ages");
/// What a tenant knows of the devices of users of other servers. Each knows what those servers told itself, as it would on a
/// machine of its own.
pub const FOREIGN_DEVICE_LISTS: Table<(TenantNumber, UserNumber), ForeignDeviceListRow> =
    Table::new(TableId(108), "foreign_device_lists");
/// When a tenant was last told that the device list of a user of another server changed.
pub const FOREIGN_LISTS_TOLD: Table<(TenantNumber, UserNumber), Position> =
    Table::new(TableId(110), "foreign_lists_told");
/// The same by position: one entry for each.
pub const FOREIGN_LIST_CHANGES: Table<(TenantNumber, Position, UserNumber), ()> =
    Table::new(TableId(111), "foreign_list_changes");
/// The last changes of the device lists of users of tenants, with the ids of the devices that changed: what other servers
/// are told of.
pub const DEVICE_LIST_UPDATES: Table<(UserNumber, Position), Vec<String>> =
    Table::new(TableId(109), "device_list_updates");

/// The identity keys of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceKeysRow {
    /// The device.
    pub device: DeviceNumber,
    /// The keys as canonical JSON, without `signatures` and `unsigned`.
    pub keys: String,
}

/// What a cross-signing key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CrossSigningUse {
    /// It is the user's identity and signs the other two.
    Master,
    /// It signs the user's devices.
    SelfSigning,
    /// It signs other users' master keys.
    UserSigning,
}

impl crate::Key for CrossSigningUse {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self {
            CrossSigningUse::Master => 0,
            CrossSigningUse::SelfSigning => 1,
            CrossSigningUse::UserSigning => 2,
        });
    }

    fn decode(input: &mut &[u8]) -> Result<Self, crate::KeyError> {
        match u8::decode(input)? {
            0 => Ok(CrossSigningUse::Master),
            1 => Ok(CrossSigningUse::SelfSigning),
            2 => Ok(CrossSigningUse::UserSigning),
            other => Err(crate::KeyError::Unexpected(other)),
        }
    }
}

/// A cross-signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossSigningKeyRow {
    /// Its public half in unpadded base64, which is its id.
    pub public_key: String,
    /// The key as canonical JSON, without `signatures` and `unsigned`.
    pub key: String,
}

/// What is known of a one-time key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeKeyIdRow {
    /// The first half of the SHA-256 of the key without its signatures.
    pub digest: [u8; 16],
    /// When it was uploaded; `None` once it was claimed.
    pub unclaimed: Option<Position>,
}

/// How many one-time keys a device has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeKeyCountsRow {
    /// Rises with each change of the device's one-time keys, so that no two states of them look the same.
    pub revision: u64,
    /// By algorithm, in order of the names.
    pub algorithms: Vec<OneTimeKeyCount>,
}

/// How many one-time keys of one algorithm a device has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeKeyCount {
    /// The algorithm.
    pub algorithm: String,
    /// Keys that nobody has claimed.
    pub unclaimed: u32,
    /// Claimed keys that are remembered.
    pub remembered: u32,
}

/// A fallback key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallbackKeyRow {
    /// Its id, without the algorithm.
    pub key_id: String,
    /// Its JSON.
    pub key: String,
    /// Whether somebody got it.
    pub used: bool,
}

/// A message that waits for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToDeviceRow {
    /// Who sent it.
    pub sender: OwnedUserId,
    /// Its event type.
    pub event_type: String,
    /// Its content as JSON.
    pub content: String,
}

/// A version of a user's key backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupVersionRow {
    /// How its keys are encrypted.
    pub algorithm: String,
    /// What that algorithm needs, as JSON.
    pub auth_data: String,
    /// Rises with each change of its keys.
    pub etag: u64,
    /// How many keys it has.
    pub count: u64,
    /// Whether it was deleted; its keys are going or gone.
    pub deleted: bool,
}

/// A backed-up room key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUpKeyRow {
    /// The first message that it decrypts.
    pub first_message_index: u64,
    /// How often it was forwarded.
    pub forwarded_count: u64,
    /// Whether the device that backed it up had verified the device that it is from.
    pub is_verified: bool,
    /// The whole entry as JSON.
    pub entry: String,
}

/// What is known of the devices of a user of another server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignDeviceListRow {
    /// The ids of the last updates that are in it, the newest last.
    pub stream_ids: Vec<i64>,
    /// Whether nothing is known to be missing.
    pub complete: bool,
    /// When it was fetched from the user's server, in milliseconds since the Unix epoch.
    pub fetched_ts: i64,
    /// Up to where the store had come then.
    pub fetched_at: Position,
    /// The keys of each device as JSON, by device id.
    pub devices: Vec<(String, String)>,
    /// The master key, as JSON.
    pub master_key: Option<String>,
    /// The self-signing key, as JSON.
    pub self_signing_key: Option<String>,
}
