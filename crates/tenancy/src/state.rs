//! What a tenant may do, and how that changes.

use freehold_store::tables::tenancy::{Control, TENANTS, TenantRow, TenantState};
use freehold_store::{Batch, CommitError, ReadError, Tenant};
use ruma_common::ServerName;
use serde_json::json;
use thiserror::Error;

use crate::audit::{self, Act, By};
use crate::index::Entry;
use crate::tenancy::{Tenancy, TenancyError, TenantFacts};

/// A step from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Control of the domain was proved: a pending or lapsed tenant becomes active.
    Prove,
    /// Control of the domain lapsed: an active tenant is suspended.
    Lapse,
    /// The operator vouches for the tenant from now on: a pending one becomes active.
    Vouch,
    /// The operator stops it.
    Suspend,
    /// The operator takes a suspension or a removal back.
    Resume,
    /// It begins to leave.
    Remove,
    /// Its grace period is over.
    Depart,
}

impl Change {
    /// What the step is called in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Change::Prove => "tenant prove",
            Change::Lapse => "tenant lapse",
            Change::Vouch => "tenant vouch",
            Change::Suspend => "tenant suspend",
            Change::Resume => "tenant resume",
            Change::Remove => "tenant remove",
            Change::Depart => "tenant depart",
        }
    }

    /// The state after the step; `None` if it cannot be taken.
    fn after(self, row: &TenantRow, proved: bool) -> Option<TenantState> {
        use TenantState::{Active, Departed, Leaving, Pending, Suspended};
        // Nobody comes back into service whose domain may be somebody else's by now.
        let believed = row.control != Control::Proved || proved;
        match (self, row.state) {
            (Change::Prove, Pending) | (Change::Vouch, Pending) => Some(Active),
            (Change::Prove | Change::Vouch, state) if state != Departed => Some(state),
            (Change::Lapse | Change::Suspend, Active) => Some(Suspended),
            (Change::Suspend, Pending) => Some(Suspended),
            (Change::Resume, Suspended | Leaving) => Some(if believed { Active } else { Pending }),
            (Change::Remove, Pending | Active | Suspended) => Some(Leaving),
            (Change::Depart, Leaving) => Some(Departed),
            _ => None,
        }
    }
}

impl Tenancy {
    /// Takes a step with a tenant.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn change(
        &self,
        server_name: &ServerName,
        change: Change,
        by: &By,
    ) -> Result<TenantFacts, StateError> {
        let _changing = self.changing().await;
        let mut facts = self.facts(server_name).await?;
        let before = facts.row.clone();
        let proved =
            facts.proof.as_ref().is_some_and(|proof| proof.failure.is_none() && proof.proved_ts.is_some());
        let state =
            change.after(&before, proved).ok_or(StateError::NotNow { state: before.state, change })?;
        let now_ts = self.now_ts();
        let row = &mut facts.row;
        if row.state != state {
            (row.state, row.since_ts) = (state, now_ts);
        }
        if change == Change::Vouch {
            row.control = Control::Vouched;
        }
        let details = json!({ "from": before.state, "to": state });
        self.write_row(&facts.tenant, &before, &facts.row, &Act { by, name: change.name(), details }).await?;
        Ok(facts)
    }

    /// Replaces a tenant's row, with an entry in the audit log. The caller holds `changing`.
    pub(crate) async fn write_row(
        &self,
        tenant: &Tenant,
        before: &TenantRow,
        after: &TenantRow,
        act: &Act<'_>,
    ) -> Result<(), CommitError> {
        self.replace_row(tenant, (before, after), act, Batch::new()).await
    }

    /// The same, with what else is to be durable together with it.
    pub(crate) async fn replace_row(
        &self,
        tenant: &Tenant,
        (before, after): (&TenantRow, &TenantRow),
        act: &Act<'_>,
        mut batch: Batch,
    ) -> Result<(), CommitError> {
        let number = tenant.number();
        batch.expect_unchanged(&TENANTS, &number, Some(before));
        batch.put(&TENANTS, &number, after);
        audit::record(&mut batch, Some(number), act, self.now_ts());
        self.store().commit(batch).await?;
        let mut index = self.index_mut();
        let mut entry = Entry::new(number, after);
        if let Some(known) = index.get(number) {
            entry.tenant = known.tenant.clone();
            entry.has_policy = known.has_policy;
            entry.forgets = known.forgets;
            entry.federation = known.federation.clone();
            entry.checked_minute = known.checked_minute;
        }
        if !index.set(entry) {
            tracing::error!(%number, "a tenant changed its name");
        }
        Ok(())
    }
}

/// Why a step was not taken.
#[derive(Debug, Error)]
pub enum StateError {
    /// The tenant is in a state from which the step does not lead anywhere.
    #[error("`{}` cannot follow while the tenant is {}", change.name(), format!("{state:?}").to_lowercase())]
    NotNow {
        /// The state.
        state: TenantState,
        /// The step.
        change: Change,
    },
    /// There is no such tenant, or the store failed.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
}

impl From<CommitError> for StateError {
    fn from(error: CommitError) -> Self {
        StateError::Tenancy(error.into())
    }
}

impl From<ReadError> for StateError {
    fn from(error: ReadError) -> Self {
        StateError::Tenancy(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGES: [Change; 7] = [
        Change::Prove,
        Change::Lapse,
        Change::Vouch,
        Change::Suspend,
        Change::Resume,
        Change::Remove,
        Change::Depart,
    ];

    fn row(state: TenantState, control: Control) -> TenantRow {
        TenantRow {
            server_name: ServerName::parse("example.org").unwrap(),
            hostnames: Vec::new(),
            state,
            since_ts: 0,
            created_ts: 0,
            control,
            challenge: String::new(),
            owner: None,
        }
    }

    #[test]
    fn nobody_comes_back_from_departed() {
        for change in CHANGES {
            assert_eq!(change.after(&row(TenantState::Departed, Control::Vouched), true), None, "{change:?}");
        }
    }

    #[test]
    fn only_a_proof_or_the_operators_word_leads_into_service() {
        use TenantState::{Active, Leaving, Pending, Suspended};
        for state in [Pending, Suspended, Leaving] {
            for change in
                CHANGES.into_iter().filter(|change| !matches!(change, Change::Prove | Change::Vouch))
            {
                assert_ne!(
                    change.after(&row(state, Control::Proved), false),
                    Some(Active),
                    "{state:?} {change:?}"
                );
            }
        }
        assert_eq!(Change::Prove.after(&row(Pending, Control::Proved), true), Some(Active));
        assert_eq!(Change::Prove.after(&row(Suspended, Control::Proved), true), Some(Suspended));
        assert_eq!(Change::Resume.after(&row(Suspended, Control::Proved), true), Some(Active));
    }

    #[test]
    fn a_tenant_departs_only_after_leaving() {
        use TenantState::{Active, Departed, Leaving, Pending, Suspended};
        for state in [Active, Pending, Suspended] {
            for change in CHANGES {
                assert_ne!(change.after(&row(state, Control::Vouched), true), Some(Departed));
            }
        }
        assert_eq!(Change::Depart.after(&row(Leaving, Control::Vouched), true), Some(Departed));
    }
}
