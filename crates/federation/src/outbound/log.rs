//! Reading what is to be sent from where it is written down.

use std::collections::BTreeMap;

use freehold_rooms::{Reader, Unreadable};
use freehold_store::{EventNumber, Position, RoomNumber, Tenant, TenantNumber};
use ruma_common::ServerName;

use super::progress::At;
use super::service::Outbound;
use crate::limits::{LOG_PAGE_ROWS, LOG_ROWS_MAX};

/// Part of the log of a tenant, as one server is to have it.
pub(super) struct Page {
    /// The events.
    pub(super) events: Vec<(At, EventNumber)>,
    /// Up to where the log was read.
    pub(super) up_to: At,
    /// Whether it was read to its end.
    pub(super) is_end: bool,
}

impl Outbound {
    /// Whether a tenant sends something to a server: none that is hosted here, and none with which it does not speak.
    pub(super) fn speaks(&self, tenant: Option<&Tenant>, server: &ServerName) -> bool {
        let identities = &self.0.parts.identities;
        identities.tenant(server).is_none() && tenant.is_none_or(|tenant| identities.speak(tenant, server))
    }
}

/// Up to `limit` events of a tenant's log after a place that a server is to have.
pub(super) async fn missed(
    reader: &Reader,
    (tenant, server): (TenantNumber, &ServerName),
    after: At,
    limit: usize,
) -> Result<Page, Unreadable> {
    let mut page = Page { events: Vec::new(), up_to: after, is_end: false };
    let mut since: BTreeMap<RoomNumber, Option<Position>> = BTreeMap::new();
    for _ in 0..LOG_ROWS_MAX.div_ceil(LOG_PAGE_ROWS) {
        let rows = reader.outgoing(tenant, page.up_to, LOG_PAGE_ROWS).await?;
        let is_end = rows.len() < LOG_PAGE_ROWS;
        for (at, row) in rows {
            if page.events.len() == limit {
                return Ok(page);
            }
            let since = match since.get(&row.room) {
                Some(since) => *since,
                None => {
                    let found = reader.server_in(row.room, server).await?.map(|in_room| in_room.since);
                    *since.entry(row.room).or_insert(found)
                }
            };
            let is_in = since.is_some_and(|since| since < at.0);
            if is_in || row.others.iter().any(|other| other == server) {
                page.events.push((at, row.event));
            }
            page.up_to = at;
        }
        if is_end {
            page.is_end = true;
            return Ok(page);
        }
    }
    Ok(page)
}
