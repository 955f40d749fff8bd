//! Writes down how far everything came, now and then.
//!
//! All that is written of a tenant was so at one moment: a queue that keeps up goes on after a restart where all of them
//! were done, one that is behind where it was. What was sent since is sent again, and known there by its id. So nothing
//! is written when a transaction goes through, or does not.

use freehold_rooms::Unreadable;
use freehold_store::tables::outbound::{BEHIND, HANDED_OVER};
use freehold_store::tables::rooms::OUTGOING;
use freehold_store::{Batch, TenantNumber};

use super::progress::At;
use super::service::Outbound;
use super::state::Change;
use crate::limits::{LOG_CUT_ROWS_MAX, LOG_LOOKED_AT_ROWS};

impl Outbound {
    /// Writes down how far the events of tenants have come, and removes from their logs what everybody has.
    pub(super) async fn write_progress(&self) {
        let tenants: Vec<TenantNumber> = self.0.lock().take_changed().into_iter().collect();
        for together in tenants.chunks(TENANTS_WRITTEN_TOGETHER) {
            let (mut batch, mut changes) = (Batch::new(), Vec::new());
            for tenant in together {
                let change = self.0.lock().change_of(*tenant);
                match self.prepare(*tenant, &change).await {
                    Ok((writes, cut)) => {
                        batch.append(writes);
                        changes.push((*tenant, change, cut));
                    }
                    Err(error) => self.was_not_written(*tenant, change, &error),
                }
            }
            let done = match batch.is_empty() {
                true => Ok(()),
                false => self.0.parts.store.commit(batch).await.map(drop),
            };
            for (tenant, change, cut) in changes {
                match &done {
                    Ok(()) => self.was_written(tenant, change, cut).await,
                    Err(error) => self.was_not_written(tenant, change, error),
                }
            }
        }
    }

    fn was_not_written(&self, tenant: TenantNumber, change: Change, error: &dyn std::error::Error) {
        tracing::error!(tenant = tenant.0, %error, "what was sent is not written down");
        self.0.lock().put_back(tenant, change);
    }

    async fn was_written(&self, tenant: TenantNumber, change: Change, cut: Option<At>) {
        let looks = {
            let mut state = self.0.lock();
            state.was_written(tenant, change);
            if let Some(cut) = cut {
                state.progress(tenant).cut = cut;
                // There may be more.
                state.note(tenant);
            }
            let progress = state.progress(tenant);
            progress.since_looked >= LOG_LOOKED_AT_ROWS && progress.behind().next().is_some()
        };
        if looks {
            self.tend(tenant).await;
        }
    }

    /// What is to be written of a change, and up to where the log is cut by it, if something is left to cut.
    async fn prepare(
        &self,
        tenant: TenantNumber,
        change: &Change,
    ) -> Result<(Batch, Option<At>), Unreadable> {
        let mut batch = Batch::new();
        if change.handed_over != change.written {
            batch.put(&HANDED_OVER, &tenant, &change.handed_over);
        }
        for (key, at) in &change.moved {
            match at {
                Some(at) => batch.put(&BEHIND, key, at),
                None => batch.delete(&BEHIND, key),
            }
        }
        let mut cut = None;
        if change.cut < change.floor {
            let reader = self.0.parts.rooms.reader()?;
            let rows = reader.outgoing(tenant, change.cut, LOG_CUT_ROWS_MAX).await?;
            for ((position, place), _) in rows.into_iter().take_while(|(at, _)| *at <= change.floor) {
                batch.delete(&OUTGOING, &(tenant, position, place));
                cut = Some((position, place));
            }
        }
        Ok((batch, cut))
    }
}

/// Of how many tenants is written with one commit.
const TENANTS_WRITTEN_TOGETHER: usize = 64;
