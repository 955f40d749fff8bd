//! What an operator can settle for all accounts of a process.

use crate::password::HashCost;

/// How accounts are kept, for all tenants.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// What one password hash costs.
    pub hash_cost: HashCost,
    /// How many passwords are hashed at the same time; each takes the memory that `hash_cost` names.
    pub hashes_at_once: usize,
    /// How long an access token lasts that came with a refresh token, in milliseconds. Others do not expire.
    pub access_token_lifetime_ms: u64,
    /// Whether failed logins slow down further logins of the same account.
    pub failed_logins: bool,
    /// Bounds.
    pub limits: AccountLimits,
}

impl Default for AccountSettings {
    fn default() -> Self {
        AccountSettings {
            hash_cost: HashCost::default(),
            hashes_at_once: 2,
            access_token_lifetime_ms: 60 * 60 * 1000,
            failed_logins: true,
            limits: AccountLimits::default(),
        }
    }
}

/// Bounds on what people can make grow. Beyond one there is an error that names it.
#[derive(Clone, Debug)]
pub struct AccountLimits {
    /// Bytes of a password; more would only make hashing slow (the bound of Synapse).
    pub password_bytes: usize,
    /// Passwords that may wait to be hashed.
    pub hashes_waiting: usize,
    /// Devices of a user.
    pub devices: usize,
    /// Bytes of a device id.
    pub device_id_bytes: usize,
    /// Bytes of the display name of a device.
    pub device_name_bytes: usize,
    /// Sessions of which the tokens are remembered in memory.
    pub sessions_in_memory: usize,
    /// Interactive authentications under way, of all tenants.
    pub interactions: usize,
    /// Pieces of account data of a user, in all rooms together.
    pub account_data: usize,
    /// Bytes of a piece of account data (the largest event, <https://spec.matrix.org/v1.19/client-server-api/#size-limits>).
    pub account_data_bytes: usize,
    /// Filters of a user.
    pub filters: usize,
    /// Bytes of a filter.
    pub filter_bytes: usize,
    /// Bytes of all push rules of a user.
    pub push_rules_bytes: usize,
    /// Fields of a profile.
    pub profile_fields: usize,
}

impl Default for AccountLimits {
    fn default() -> Self {
        AccountLimits {
            password_bytes: 512,
            hashes_waiting: 512,
            devices: 1000,
            device_id_bytes: 255,
            device_name_bytes: 400,
            sessions_in_memory: 16 * 1024,
            interactions: 8 * 1024,
            account_data: 20_000,
            account_data_bytes: 65_536,
            filters: 1000,
            filter_bytes: 65_536,
            push_rules_bytes: 1 << 20,
            profile_fields: 256,
        }
    }
}
