//! Servers that are away for too long: what they missed is no longer kept in the log.
//!
//! For each room that such a server is in, the last event remains that it is to have. All others come before it in the room's
//! history, and are fetched from us or others once the server has that one
//! (<https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events>): nothing is lost, and
//! a log has an end.

use std::collections::BTreeMap;

use freehold_rooms::{Reader, Unreadable};
use freehold_store::tables::outbound::{LAST_MISSED, MissedRow};
use freehold_store::{Batch, EventNumber, Order, RoomNumber, Tenant, TenantNumber};
use ruma_common::OwnedServerName;

use super::driving::Found;
use super::events::{damaged, pdus};
use super::progress::At;
use super::service::Outbound;
use super::state::Key;
use super::transaction::{Cargo, RoomKey};
use crate::limits::{
    AWAY_MS_MAX, LOG_KEPT_ROWS_MAX, LOG_ROWS_MAX, MISSED_ROOMS_PAGE, TRANSACTION_EVENTS_MAX,
};

/// Servers, and up to where each has the log.
type Behind = BTreeMap<OwnedServerName, At>;

/// The last events of a part of the log.
#[derive(Default)]
struct Last {
    /// Of each room.
    of_rooms: BTreeMap<RoomNumber, (At, EventNumber)>,
    /// Of those that are about users of a server, of each room.
    about: BTreeMap<(OwnedServerName, RoomNumber), (At, EventNumber)>,
}

impl Outbound {
    /// Looks after the logs of all tenants for whom servers are behind.
    pub(super) async fn tend_all(&self) {
        let tenants: Vec<TenantNumber> = {
            let state = self.0.lock();
            let behind = state.progress.iter().filter(|(_, progress)| progress.behind().next().is_some());
            behind.map(|(tenant, _)| *tenant).collect()
        };
        for tenant in tenants {
            self.tend(tenant).await;
        }
    }

    /// Gives up the servers for whom the log of a tenant would be kept for too long, or become too long.
    pub(super) async fn tend(&self, tenant: TenantNumber) {
        if let Err(error) = self.try_to_tend(tenant).await {
            tracing::error!(tenant = tenant.0, %error, "the log of events cannot be looked after");
        }
    }

    async fn try_to_tend(&self, tenant: TenantNumber) -> Result<(), Unreadable> {
        let slowest = {
            let mut state = self.0.lock();
            let progress = state.progress(tenant);
            progress.since_looked = 0;
            progress.behind().next().map(|(at, _)| *at)
        };
        let Some(slowest) = slowest else { return Ok(()) };
        let reader = self.0.parts.rooms.reader()?;
        let Some(end) = self.spare(&reader, tenant, slowest).await? else { return Ok(()) };
        let behind: Behind = {
            let mut state = self.0.lock();
            let progress = state.progress(tenant);
            let slow = progress.behind().take_while(|(at, _)| *at < end);
            slow.map(|(at, server)| (server.clone(), *at)).collect()
        };
        self.give_up((&reader, tenant), behind, end).await
    }

    /// Up to where a log is kept for too long, or is too long.
    async fn spare(&self, reader: &Reader, tenant: TenantNumber, from: At) -> Result<Option<At>, Unreadable> {
        let oldest_ts = self.0.parts.clock.now_ts().saturating_sub(AWAY_MS_MAX);
        let (mut at, mut ends, mut old) = (from, Vec::new(), None);
        let mut may_be_old = true;
        loop {
            let rows = reader.outgoing(tenant, at, LOG_ROWS_MAX).await?;
            let is_end = rows.len() < LOG_ROWS_MAX;
            let Some((last, row)) = rows.into_iter().next_back() else { break };
            at = last;
            ends.push(at);
            if may_be_old {
                may_be_old = row.queued_ts < oldest_ts;
                old = if may_be_old { Some(at) } else { old };
            }
            if is_end {
                break;
            }
        }
        let pages_max = LOG_KEPT_ROWS_MAX / LOG_ROWS_MAX;
        let long = match ends.len() > pages_max {
            // Some more, so that it is not so again at once.
            true => ends.get(ends.len().saturating_sub(pages_max / 2)).copied(),
            false => None,
        };
        Ok(old.max(long))
    }

    /// Writes down the last events of the log up to its `end` that some servers missed; they no longer need the log.
    async fn give_up(
        &self,
        (reader, tenant): (&Reader, TenantNumber),
        behind: Behind,
        end: At,
    ) -> Result<(), Unreadable> {
        let Some(first) = behind.values().min().copied() else { return Ok(()) };
        let last = last_events(reader, tenant, (first, end), &behind).await?;
        let mut rows: BTreeMap<RoomKey, MissedRow> = BTreeMap::new();
        for ((server, room), (at, event)) in last.about {
            rows.insert((tenant, server, room), MissedRow { at, event, is_about_it: true });
        }
        for (room, (at, event)) in last.of_rooms {
            for (server, in_room) in reader.servers_in(room).await? {
                if in_room.since < at.0 && behind.get(&server).is_some_and(|has| *has < at) {
                    rows.insert((tenant, server, room), MissedRow { at, event, is_about_it: false });
                }
            }
        }
        let rows: Vec<(RoomKey, MissedRow)> = rows.into_iter().collect();
        for page in rows.chunks(MISSED_ROOMS_PAGE) {
            let mut batch = Batch::new();
            page.iter().for_each(|(key, row)| batch.put(&LAST_MISSED, key, row));
            self.0.parts.store.commit(batch).await.map_err(damaged)?;
        }
        tracing::warn!(
            tenant = tenant.0,
            servers = behind.len(),
            rooms = rows.len(),
            "servers are away for too long: of what they missed, the last event of each room is kept"
        );
        // How far they are behind now is written down with everything else. If it is not, they get it twice.
        let mut state = self.0.lock();
        behind.into_keys().for_each(|server| state.gave_up(&(tenant, server), end));
        Ok(())
    }

    /// The last events of rooms that the server missed when it was given up.
    pub(super) async fn last_missed(
        &self,
        key: &Key,
        tenant: &Tenant,
        limit: usize,
    ) -> Result<Found, Unreadable> {
        if !std::mem::take(&mut self.0.lock().queue(key).has_missed) {
            return Ok(Found::Nothing);
        }
        let found = self.read_last_missed(key, tenant, limit.min(TRANSACTION_EVENTS_MAX)).await;
        if !matches!(found, Ok(Found::Nothing)) {
            self.0.lock().queue(key).has_missed = true;
        }
        found
    }

    async fn read_last_missed(&self, key: &Key, tenant: &Tenant, limit: usize) -> Result<Found, Unreadable> {
        let reader = self.0.parts.rooms.reader()?;
        let rows = reader.snapshot().scan_prefix(&LAST_MISSED, key, Order::Ascending, limit).await?;
        if rows.is_empty() {
            return Ok(Found::Nothing);
        }
        let mut events = Vec::new();
        for ((_, _, room), row) in &rows {
            let in_room = reader.server_in(*room, &key.1).await?;
            if row.is_about_it || in_room.is_some_and(|in_room| in_room.since < row.at.0) {
                events.push((row.at, row.event));
            }
        }
        events.sort_unstable();
        let numbers: Vec<EventNumber> = events.into_iter().map(|(_, event)| event).collect();
        let pdus = pdus(&reader, &numbers).await?;
        if pdus.is_empty() {
            self.last_missed_done(&rows).await?;
            return Ok(Found::Look);
        }
        self.transaction(tenant, Cargo::Missed(rows), (&pdus, &[]), None)
    }

    /// The server has the last events of rooms, unless there are newer ones by now.
    pub(super) async fn last_missed_done(&self, rows: &[(RoomKey, MissedRow)]) -> Result<(), Unreadable> {
        let mut batch = Batch::new();
        for (key, row) in rows {
            batch.expect_unchanged(&LAST_MISSED, key, Some(row));
            batch.delete(&LAST_MISSED, key);
        }
        self.forget(batch).await.map(drop)
    }
}

/// The last events of a part of a log that some servers have not.
async fn last_events(
    reader: &Reader,
    tenant: TenantNumber,
    (first, end): (At, At),
    behind: &Behind,
) -> Result<Last, Unreadable> {
    let mut last = Last::default();
    let mut after = first;
    while after < end {
        let rows = reader.outgoing(tenant, after, LOG_ROWS_MAX).await?;
        let Some((up_to, _)) = rows.last() else { break };
        after = *up_to;
        for (at, row) in rows.into_iter().take_while(|(at, _)| *at <= end) {
            last.of_rooms.insert(row.room, (at, row.event));
            for other in row.others {
                if behind.get(&other).is_some_and(|has| *has < at) {
                    last.about.insert((other, row.room), (at, row.event));
                }
            }
        }
    }
    Ok(last)
}
