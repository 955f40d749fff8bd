//! When control is looked at again, and what follows.

use freehold_store::tables::tenancy::{Control, PROOFS, ProofRow, TenantState};
use freehold_store::{Batch, CommitError, ReadError, Tenant};
use ruma_common::ServerName;
use thiserror::Error;

use crate::audit::By;
use crate::proof::examine::{Report, Verdict, examine};
use crate::proof::outside::Outside;
use crate::state::{Change, StateError};
use crate::tenancy::{Tenancy, TenancyError};

const MINUTE_MS: i64 = 60 * 1000;

/// How often a tenant that waits for its proof is looked at, in minutes.
const PENDING_EVERY: u32 = 10;
/// How often a tenant in service is looked at, in minutes.
const ACTIVE_EVERY: u32 = 24 * 60;
/// How long a tenant stays in service without a proof, in milliseconds: a web server may be down for some days.
const LAPSE_MS: i64 = 7 * 24 * 60 * MINUTE_MS;

impl Tenancy {
    /// Up to `limit` tenants whose control of their domains is to be looked at now.
    pub fn due_for_proof(&self, limit: usize) -> Vec<Tenant> {
        let minute = minute_of(self.now_ts());
        let index = self.index();
        let due = index.after(freehold_store::TenantNumber(0)).filter(|entry| {
            let every = match entry.state {
                TenantState::Pending => PENDING_EVERY,
                TenantState::Active => ACTIVE_EVERY,
                TenantState::Suspended | TenantState::Leaving | TenantState::Departed => return false,
            };
            entry.control == Control::Proved && entry.checked_minute.saturating_add(every) <= minute
        });
        due.take(limit).map(|entry| entry.tenant.clone()).collect()
    }

    /// Looks whether a tenant controls its domain, writes down what came of it, and takes the step that follows: into
    /// service when a waiting tenant proved it, out of it when the last proof is too old.
    ///
    /// # Errors
    /// [`ProofError`].
    pub async fn prove(
        &self,
        server_name: &ServerName,
        outside: &dyn Outside,
        by: &By,
    ) -> Result<Report, ProofError> {
        let facts = self.facts(server_name).await?;
        let report = examine(&facts, self.settings().base_domain.as_ref(), outside).await;
        let now_ts = self.now_ts();
        let before = facts.proof.unwrap_or_default();
        let proof = after(&before, &report, now_ts);
        self.write_proof(&facts.tenant, &proof).await?;
        let lapsed_since = proof.proved_ts.unwrap_or(facts.row.since_ts);
        let change = match (facts.row.control, facts.row.state, &proof.failure) {
            (Control::Proved, TenantState::Pending, None) => Some(Change::Prove),
            (Control::Proved, TenantState::Active, Some(_)) if lapsed_since + LAPSE_MS <= now_ts => {
                Some(Change::Lapse)
            }
            _ => None,
        };
        if let Some(change) = change {
            self.change(server_name, change, by).await?;
        }
        Ok(report)
    }

    /// The tenants that leave and whose grace period is over.
    pub async fn due_to_depart(&self) -> Vec<Tenant> {
        let leaving: Vec<Tenant> = {
            let index = self.index();
            let entries = index.after(freehold_store::TenantNumber(0));
            entries
                .filter(|entry| entry.state == TenantState::Leaving)
                .map(|entry| entry.tenant.clone())
                .collect()
        };
        let mut due = Vec::new();
        for tenant in leaving {
            // A tenant that cannot be read now is read in the next round.
            let Ok(facts) = self.facts(tenant.server_name()).await else { continue };
            if facts.row.since_ts.saturating_add(self.settings().grace_ms) <= self.now_ts() {
                due.push(tenant);
            }
        }
        due
    }

    async fn write_proof(&self, tenant: &Tenant, proof: &ProofRow) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        batch.put(&PROOFS, &tenant.number(), proof);
        self.store().commit(batch).await?;
        self.index_mut().set_checked(tenant.number(), minute_of(proof.checked_ts));
        Ok(())
    }
}

/// The minute of a time, as the index keeps it.
pub(crate) fn minute_of(ts: i64) -> u32 {
    u32::try_from(ts / MINUTE_MS).unwrap_or_default()
}

fn after(before: &ProofRow, report: &Report, now_ts: i64) -> ProofRow {
    match &report.proved_by {
        Some(record) => ProofRow {
            proved_ts: Some(now_ts),
            proved_by: Some(record.clone()),
            checked_ts: now_ts,
            failure: None,
        },
        None => ProofRow { checked_ts: now_ts, failure: Some(failure(report)), ..before.clone() },
    }
}

/// The most telling of what was seen: what leads elsewhere, before what is not there.
fn failure(report: &Report) -> String {
    let wrong = report.findings.iter().find(|finding| finding.verdict == Verdict::Wrong);
    match wrong {
        Some(finding) => format!("{} is {}", finding.record, finding.seen.as_deref().unwrap_or_default()),
        None => "nothing that the domain publishes proves control of it".to_owned(),
    }
}

/// Why the proof of a tenant could not be looked at or written down.
#[derive(Debug, Error)]
pub enum ProofError {
    /// There is no such tenant, or the store failed.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The step that follows could not be taken.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<CommitError> for ProofError {
    fn from(error: CommitError) -> Self {
        ProofError::Tenancy(error.into())
    }
}

impl From<ReadError> for ProofError {
    fn from(error: ReadError) -> Self {
        ProofError::Tenancy(error.into())
    }
}
