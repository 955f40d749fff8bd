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
    /// Most messages that wait for a device. Beyond it the oldest go: a device that comes back after a long time
    /// can ask for keys again, and needs the newest most.
    pub to_device_per_device: usize,
    /// Most recipients of one request.
    pub to_device_recipients: usize,
    /// For how long a transaction id of to-device messages is remembered, in milliseconds.
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
            to_device_per_device: 10_000,
            to_device_recipients: 20_000,
            transactions_remembered_ms: 24 * 60 * 60 * 1000,
            backup: BackupLimits::default(),
        }
    }
}
