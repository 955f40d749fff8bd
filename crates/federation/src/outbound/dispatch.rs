//! Hands what is written down to queues.

use freehold_rooms::Unreadable;
use freehold_store::tables::outbound::{BEHIND, HANDED_OVER};
use freehold_store::tables::rooms::{OUTGOING, OutgoingRow};
use freehold_store::{Batch, CommitError, EventNumber, Position, PutOut, TenantNumber};
use ruma_common::OwnedServerName;

use super::log::recipients;
use super::progress::{At, BEGINNING, before};
use super::service::{Key, Outbound};
use crate::limits::LOG_ROWS_MAX;

impl Outbound {
    /// Something was put out.
    pub(super) async fn take(&self, put_out: PutOut) {
        if put_out.everything {
            // Which servers have messages is no longer known: all that are known look.
            let keys: Vec<Key> = self.0.lock().queues.keys().cloned().collect();
            keys.into_iter().for_each(|key| self.has_messages(key));
            return self.dispatch_all().await;
        }
        put_out.messages.into_iter().for_each(|key| self.has_messages(key));
        for tenant in put_out.events {
            self.dispatch(tenant).await;
        }
    }

    fn has_messages(&self, key: Key) {
        self.0.lock().queues.entry(key.clone()).or_default().has_messages = true;
        self.send(key);
    }

    /// Hands over what every tenant has in its log, and has everybody send who has something to send.
    pub(super) async fn dispatch_all(&self) {
        match self.tenants_with_events().await {
            Ok(tenants) => {
                for tenant in tenants {
                    self.dispatch(tenant).await;
                }
            }
            Err(error) => tracing::error!(%error, "what is to be sent cannot be read"),
        }
        self.resume();
    }

    /// Tenants with events in their logs: one read for each.
    async fn tenants_with_events(&self) -> Result<Vec<TenantNumber>, Unreadable> {
        let snapshot = self.0.parts.store.snapshot()?;
        let mut tenants = Vec::new();
        let mut next = TenantNumber(0);
        loop {
            let range = (&(next,), &(TenantNumber(u32::MAX),));
            let rows = snapshot.scan_range(&OUTGOING, range, freehold_store::Order::Ascending, 1).await?;
            let Some(((tenant, ..), _)) = rows.into_iter().next() else { return Ok(tenants) };
            tenants.push(tenant);
            next = TenantNumber(tenant.0.saturating_add(1));
        }
    }

    /// Hands over what a tenant has in its log.
    async fn dispatch(&self, tenant: TenantNumber) {
        loop {
            match self.dispatch_some(tenant).await {
                Ok(true) => {}
                Ok(false) => return,
                // It is still in the log, and is looked at again with the next event or tick.
                Err(error) => {
                    tracing::error!(tenant = tenant.0, %error, "events are not handed over");
                    return;
                }
            }
        }
    }

    /// Hands over some events; whether there are more.
    async fn dispatch_some(&self, tenant: TenantNumber) -> Result<bool, Unreadable> {
        let after = self.0.lock().progress(tenant).dispatched;
        let reader = self.0.parts.rooms.reader()?;
        let rows = reader.outgoing(tenant, after, LOG_ROWS_MAX).await?;
        let more = rows.len() == LOG_ROWS_MAX;
        for (at, row) in rows {
            let servers = recipients(&reader, &*self.0.parts.identities, at.0, &row).await?;
            self.hand_over(tenant, (at, row.event), servers.into_iter().collect()).await?;
        }
        Ok(more)
    }

    async fn hand_over(
        &self,
        tenant: TenantNumber,
        (at, event): (At, EventNumber),
        servers: Vec<OwnedServerName>,
    ) -> Result<(), Unreadable> {
        let keys: Vec<Key> = servers.into_iter().map(|server| (tenant, server)).collect();
        for key in &keys {
            let is_full = self.0.lock().queues.get(key).is_some_and(super::queue::Queue::is_full);
            if is_full {
                self.fall_behind(key).await.map_err(|error| Unreadable::Damaged(Box::new(error)))?;
            }
        }
        {
            let mut state = self.0.lock();
            let mut held = 0;
            for key in &keys {
                held += usize::from(state.queues.entry(key.clone()).or_default().push(at, event));
            }
            state.progress(tenant).given(at, held);
        }
        keys.into_iter().for_each(|key| self.send(key));
        Ok(())
    }

    /// Writes down that a queue does not keep up, and lets go of what it holds.
    pub(super) async fn fall_behind(&self, key: &Key) -> Result<(), CommitError> {
        let first = {
            let state = self.0.lock();
            let Some(queue) = state.queues.get(key) else { return Ok(()) };
            if queue.behind.is_some() {
                return Ok(());
            }
            // What comes meanwhile comes after it.
            let dispatched = state.progress.get(&key.0).map_or(BEGINNING, |progress| progress.dispatched);
            queue.first().map_or(dispatched, before)
        };
        let mut batch = Batch::new();
        batch.put(&BEHIND, key, &first);
        self.0.parts.store.commit(batch).await?;
        let mut state = self.0.lock();
        let held = state.queues.get_mut(key).map(|queue| queue.fall_behind(first)).unwrap_or_default();
        let progress = state.progress(key.0);
        held.into_iter().for_each(|at| progress.done(at));
        Ok(())
    }

    /// Has everybody send who has something to send and does not.
    pub(super) fn resume(&self) {
        let idle: Vec<Key> = {
            let state = self.0.lock();
            let waiting = state.queues.iter().filter(|(_, queue)| !queue.sending && !queue.is_idle());
            waiting.map(|(key, _)| key.clone()).collect()
        };
        idle.into_iter().for_each(|key| self.send(key));
    }

    /// Writes down how far the events of tenants have come, and removes from their logs what everybody has.
    pub(super) async fn write_progress(&self) {
        let changed: Vec<(TenantNumber, At, At)> = {
            let state = self.0.lock();
            let far =
                state.progress.iter().filter(|(_, progress)| progress.handed_over() != progress.written);
            far.map(|(tenant, progress)| {
                let floor = state.behind_of(*tenant).unwrap_or(progress.handed_over());
                (*tenant, progress.handed_over(), floor.min(progress.handed_over()))
            })
            .collect()
        };
        for (tenant, handed_over, floor) in changed {
            match self.write_progress_of(tenant, handed_over, floor).await {
                Ok(()) => self.0.lock().progress(tenant).written = handed_over,
                Err(error) => tracing::error!(tenant = tenant.0, %error, "what was sent is not written down"),
            }
        }
    }

    async fn write_progress_of(
        &self,
        tenant: TenantNumber,
        handed_over: At,
        floor: At,
    ) -> Result<(), Unreadable> {
        let mut batch = Batch::new();
        batch.put(&HANDED_OVER, &tenant, &handed_over);
        let reader = self.0.parts.rooms.reader()?;
        let rows: Vec<(At, OutgoingRow)> = reader.outgoing(tenant, BEGINNING, LOG_ROWS_MAX).await?;
        for ((position, place), _) in rows.into_iter().take_while(|(at, _)| *at <= floor) {
            batch.delete(&OUTGOING, &(tenant, position, place));
        }
        let done = self.0.parts.store.commit(batch).await;
        done.map(|_: Position| ()).map_err(|error| Unreadable::Damaged(Box::new(error)))
    }
}

impl super::service::State {
    /// How far the slowest server is behind of those that do not keep up with a tenant.
    fn behind_of(&self, tenant: TenantNumber) -> Option<At> {
        let of_tenant = self.queues.iter().filter(|((of, _), _)| *of == tenant);
        of_tenant.filter_map(|(_, queue)| queue.behind).min()
    }
}
