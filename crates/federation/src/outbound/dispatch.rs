//! Hands what is written down to queues.

use freehold_rooms::{Reader, Unreadable};
use freehold_store::tables::rooms::{OUTGOING, OutgoingRow};
use freehold_store::{Order, PutOut, Tenant, TenantNumber};

use super::audience::Include;
use super::progress::At;
use super::service::Outbound;
use super::state::Key;
use super::waiting::{lists_wait_for, messages_wait_for};
use crate::limits::LOG_ROWS_MAX;

impl Outbound {
    /// Something was put out.
    pub(super) async fn take(&self, put_out: PutOut) {
        if put_out.everything {
            return self.dispatch_all().await;
        }
        {
            let mut state = self.0.lock();
            for key in put_out.messages {
                let queue = state.queue(&key);
                // It is one or the other; whoever looks finds out.
                (queue.has_messages, queue.has_lists, queue.has_more_messages) = (true, true, true);
                state.wake(&key);
            }
        }
        for tenant in put_out.events {
            self.dispatch(tenant).await;
        }
    }

    /// Hands over what every tenant has in its log, and looks who has messages.
    pub(super) async fn dispatch_all(&self) {
        let (tenants, keys) = match self.everything().await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "what is to be sent cannot be read");
                let mut state = self.0.lock();
                let tenants: Vec<TenantNumber> = state.progress.keys().copied().collect();
                return state.unread.extend(tenants);
            }
        };
        {
            let mut state = self.0.lock();
            for key in keys {
                let queue = state.queue(&key);
                (queue.has_messages, queue.has_lists) = (true, true);
                state.wake(&key);
            }
        }
        for tenant in tenants {
            self.dispatch(tenant).await;
        }
    }

    /// Tenants with events in their logs, and who has messages: one read for each.
    async fn everything(&self) -> Result<(Vec<TenantNumber>, Vec<Key>), Unreadable> {
        let snapshot = self.0.parts.store.snapshot()?;
        let mut keys = messages_wait_for(&snapshot).await?;
        keys.extend(lists_wait_for(&snapshot).await?);
        let mut tenants = Vec::new();
        let mut next = TenantNumber(0);
        loop {
            let range = (&(next,), &(TenantNumber(u32::MAX),));
            let rows = snapshot.scan_range(&OUTGOING, range, Order::Ascending, 1).await?;
            let Some(((tenant, ..), _)) = rows.into_iter().next() else { return Ok((tenants, keys)) };
            tenants.push(tenant);
            next = TenantNumber(tenant.0.saturating_add(1));
        }
    }

    /// Hands over what could not be read before.
    pub(super) async fn dispatch_unread(&self) {
        let unread = std::mem::take(&mut self.0.lock().unread);
        for tenant in unread {
            self.dispatch(tenant).await;
        }
    }

    /// Hands over what a tenant has in its log.
    async fn dispatch(&self, tenant: TenantNumber) {
        loop {
            match self.dispatch_some(tenant).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    // It is still in the log, and is looked at again soon.
                    tracing::error!(tenant = tenant.0, %error, "events are not handed over");
                    self.0.lock().unread.insert(tenant);
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
        let of = self.0.parts.tenants.tenant(tenant);
        for (at, row) in rows {
            self.hand_over(&reader, (tenant, of.as_ref()), (at, &row)).await?;
        }
        Ok(more)
    }

    /// Gives an event to the queues of the servers that are to have it: those in the room since before it, and those whom it
    /// is about.
    async fn hand_over(
        &self,
        reader: &Reader,
        (number, tenant): (TenantNumber, Option<&Tenant>),
        (at, row): (At, &OutgoingRow),
    ) -> Result<(), Unreadable> {
        // A queue may fall behind or catch up just now; all servers are right at any time.
        for include in [Include::Attentive, Include::Attentive, Include::All] {
            let audience = self.audience(reader, (number, row.room), include).await?;
            let in_room = audience.queues.iter().filter(|(_, since)| *since < at.0).map(|(key, _)| key);
            let others = row.others.iter().map(|other| (number, other.clone()));
            let mut keys: Vec<Key> = in_room.cloned().collect();
            others.for_each(|other| {
                if !keys.contains(&other) {
                    keys.push(other);
                }
            });
            keys.retain(|(_, server)| self.speaks(tenant, server));
            if self.0.lock().give((number, audience.shifts), (at, row.event), &keys) {
                return Ok(());
            }
        }
        Ok(())
    }
}
