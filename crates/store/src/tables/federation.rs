//! Other servers: their keys, and how they are.

use ruma_common::OwnedServerName;
use serde::{Deserialize, Serialize};

use crate::number::TenantNumber;
use crate::table::{Table, TableId};

/// What is known of the keys of a server, as the keyring writes it. Rows are not removed: the first key that a server
/// used under an identifier stays.
pub const REMOTE_KEYS: Table<OwnedServerName, Vec<u8>> = Table::new(TableId(160), "remote_keys");
/// Servers that do not answer; one that is well has no row.
pub const SERVER_HEALTH: Table<OwnedServerName, HealthRow> = Table::new(TableId(161), "server_health");

/// The answers to the last transactions that a tenant took from a server, by transaction id.
pub const TRANSACTIONS: Table<(TenantNumber, OwnedServerName, String), TransactionRow> =
    Table::new(TableId(170), "transactions");
/// The same by when they came, in milliseconds since the Unix epoch.
pub const TRANSACTION_AGES: Table<(TenantNumber, OwnedServerName, i64, String), ()> =
    Table::new(TableId(171), "transaction_ages");

/// A server that does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRow {
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ts: i64,
    /// How often it was tried since.
    pub failures: u32,
    /// When it is tried again, in milliseconds since the Unix epoch.
    pub retry_ts: i64,
}

/// A transaction that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionRow {
    /// When, in milliseconds since the Unix epoch.
    pub ts: i64,
    /// What was answered, as JSON.
    pub answer: String,
}
