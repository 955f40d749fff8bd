//! The audit log: every administrative act, readable by the tenant whom it concerned.

use std::fmt;

use freehold_store::tables::tenancy::{AUDIT, AuditRow};
use freehold_store::{Batch, Order, Position, TenantNumber};
use ruma_common::OwnedUserId;
use serde_json::Value;

use crate::tenancy::{Tenancy, TenancyError};

/// Who did something administrative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The operator of the process.
    Operator,
    /// The server itself, when it was due.
    Schedule,
    /// A user of one tenant.
    User(OwnedUserId),
    /// A tool that knows the shared secret of one tenant.
    Tool,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Operator => f.write_str("operator"),
            By::Schedule => f.write_str("schedule"),
            By::Tool => f.write_str("tool"),
            By::User(user) => f.write_str(user.as_str()),
        }
    }
}

/// An administrative act that is about to happen.
#[derive(Clone, Debug)]
pub struct Act<'a> {
    /// Who does it.
    pub by: &'a By,
    /// What it is called.
    pub name: &'static str,
    /// Its arguments, without secrets.
    pub details: Value,
}

/// Writes an act into the log, in the batch that holds its effect.
pub(crate) fn record(batch: &mut Batch, tenant: Option<TenantNumber>, act: &Act<'_>, ts: i64) {
    let row =
        AuditRow { ts, by: act.by.to_string(), act: act.name.to_owned(), details: act.details.to_string() };
    batch.at_position(move |position, writes| writes.put(&AUDIT, &(tenant, position), &row));
}

impl Tenancy {
    /// Writes an act that has its effect elsewhere into a batch: what other services do for an administrator.
    pub fn record(&self, batch: &mut Batch, tenant: Option<TenantNumber>, act: &Act<'_>) {
        record(batch, tenant, act, self.now_ts());
    }

    /// Up to `limit` acts that concerned a tenant, or the process as a whole, the newest first.
    ///
    /// # Errors
    /// [`TenancyError`] when the store cannot be read.
    pub async fn audit(
        &self,
        tenant: Option<TenantNumber>,
        limit: usize,
    ) -> Result<Vec<AuditRow>, TenancyError> {
        let snapshot = self.store().snapshot()?;
        let rows: Vec<((Option<TenantNumber>, Position), AuditRow)> =
            snapshot.scan_prefix(&AUDIT, &tenant, Order::Descending, limit).await?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}
