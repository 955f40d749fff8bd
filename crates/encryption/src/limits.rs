//! How much strangers and users can make the server keep.

use crate::backup::BackupLimits;

/// Bounds on what is kept; all of them in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest key document in bytes: Synapse takes any; libolm's are below 2 KiB.
    pub key_bytes: usize,
    /// Most one-time keys of a device: libolm and vodozemac keep at most 100 of their own private halves.
    pub one_time_keys_per_device: usize,
    /// Most key algorithms of a device; the specification has one for one-time keys.
    pub algorithms_per_device: usize,
    /// Claimed one-time keys that are remembered for each device and algorithm, so that an upload
    /// that is repeated after a claim does not bring them back: an upload is repeated within moments.
    pub claimed_keys_remembered: u32,
    /// Longest content of a to-device message in bytes: what an event may have.
    pub to_device_bytes: usize,
    /// Longest content of one that a user sends: in a data unit by itself, that has no more than an event may have.
    pub to_device_sent_bytes: usize,
    /// Most messages that wait for a device. Beyond it the oldest go: a device that comes back after a long time
    /// can ask for keys again, and needs the newest most.
    pub to_device_per_device: usize,
    /// Most recipients of one request.
    pub to_device_recipients: usize,
    /// Longest message id under which another server sends to-device messages, in bytes: 32 code points.
    pub message_id_bytes: usize,
    /// Most devices of a user of another server that are remembered.
    pub foreign_devices: usize,
    /// Most updates of a user's device list that the next one may follow.
    pub foreign_updates: usize,
    /// For how long the devices of a user of another server are known without asking again, in milliseconds. Servers tell of
    /// changes while a room is shared; this bounds how long one is missed that happened while none was.
    pub foreign_lists_ms: i64,
    /// Most users of one server whose whole lists are fetched for one request; for more, only what was asked for is.
    pub foreign_lists_fetched: usize,
    /// Most pairs of who asked for whose devices elsewhere that are remembered.
    pub foreign_watchers: usize,
    /// For how long a transaction or message id of to-device messages is remembered, in milliseconds.
    pub transactions_remembered_ms: i64,
    /// Of key backups.
    pub backup: BackupLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            key_bytes: 16 * 1024,
            one_time_keys_per_device: 500,
            algorithms_per_device: 8,
            claimed_keys_remembered: 200,
            to_device_bytes: 65_536,
            to_device_sent_bytes: 64_000,
            to_device_per_device: 10_000,
            to_device_recipients: 20_000,
            message_id_bytes: 128,
            foreign_devices: 500,
            foreign_updates: 50,
            foreign_lists_ms: 6 * 60 * 60 * 1000,
            foreign_lists_fetched: 20,
            foreign_watchers: 100_000,
            transactions_remembered_ms: 24 * 60 * 60 * 1000,
            backup: BackupLimits::default(),
        }
    }
}
