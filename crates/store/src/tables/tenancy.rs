//! Tenants: who is hosted, under which hostnames, on which terms, and who changed what.

use ruma_common::OwnedServerName;
use serde::{Deserialize, Serialize};

use crate::number::{Position, TenantNumber};
use crate::table::{Table, TableId};

/// The tenants. Rows are never removed, so a number is never given twice.
pub const TENANTS: Table<TenantNumber, TenantRow> = Table::new(TableId(40), "tenants");
/// The number of a tenant's server name.
pub const TENANT_NUMBERS: Table<OwnedServerName, TenantNumber> = Table::new(TableId(41), "tenant_numbers");
/// Whose a hostname is: lower case, without port.
pub const HOSTNAMES: Table<String, TenantNumber> = Table::new(TableId(42), "hostnames");
/// What a tenant has settled for itself, as a JSON document; without a row it has the defaults.
pub const POLICIES: Table<TenantNumber, String> = Table::new(TableId(43), "policies");
/// When control of a tenant's domain was last looked at, and what was seen.
pub const PROOFS: Table<TenantNumber, ProofRow> = Table::new(TableId(44), "proofs");
/// Administrative acts, by the tenant whom they concern; those of the whole process under `None`.
pub const AUDIT: Table<(Option<TenantNumber>, Position), AuditRow> = Table::new(TableId(45), "audit");
/// Operator tokens, by the SHA-256 of their text.
pub const OPERATOR_TOKENS: Table<[u8; 32], OperatorTokenRow> = Table::new(TableId(46), "operator_tokens");

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRow {
    /// Its name in Matrix.
    pub server_name: OwnedServerName,
    /// Where clients and other servers reach it: lower case, without port; the first is published.
    pub hostnames: Vec<String>,
    /// What it may do now.
    pub state: TenantState,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ts: i64,
    /// When it was added, in milliseconds since the Unix epoch.
    pub created_ts: i64,
    /// Why control of the domain is believed.
    pub control: Control,
    /// What the owner publishes in the DNS to prove control; known to owner and operator.
    pub challenge: String,
    /// How to reach the owner, as the operator wrote it down.
    pub owner: Option<String>,
}

/// What a tenant may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// Control of the domain is not proved yet: it publishes its delegation and keys, and nothing else happens.
    Pending,
    /// In service.
    Active,
    /// Stopped by the operator, or because control of the domain lapsed. Its people cannot act.
    Suspended,
    /// On its way out: its people cannot act, everything can be exported, and the step can be taken back.
    Leaving,
    /// Gone. Its name, keys and number stay reserved, so that nobody else inherits them.
    Departed,
}

/// Why control of a tenant's domain is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// It is proved, again and again, by what the domain publishes.
    Proved,
    /// The operator vouches for it.
    Vouched,
    /// The name is below `.localhost`, which everybody has for himself
    /// (<https://www.rfc-editor.org/rfc/rfc6761#section-6.3>).
    Development,
}

/// What came of looking whether a tenant still controls its domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofRow {
    /// When control was last proved, in milliseconds since the Unix epoch.
    pub proved_ts: Option<i64>,
    /// By what.
    pub proved_by: Option<String>,
    /// When it was last looked at.
    pub checked_ts: i64,
    /// What was wrong then, if control was not proved.
    pub failure: Option<String>,
}

/// An administrative act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When, in milliseconds since the Unix epoch.
    pub ts: i64,
    /// Who: `operator`, `schedule`, or a user id.
    pub by: String,
    /// What was done, as the command is called.
    pub act: String,
    /// With which arguments, as a JSON document without secrets.
    pub details: String,
}

/// A token that stands for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorTokenRow {
    /// What it is for, in the operator's words.
    pub label: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ts: i64,
}
