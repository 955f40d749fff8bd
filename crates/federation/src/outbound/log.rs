//! Reading what is to be sent from where it is written down.

use std::collections::BTreeSet;

use freehold_rooms::{Identities, Reader, Unreadable};
use freehold_store::tables::rooms::OutgoingRow;
use freehold_store::{EventNumber, Position, TenantNumber};
use ruma_common::{OwnedServerName, ServerName};

use super::progress::At;
use crate::limits::LOG_ROWS_MAX;

/// Part of the log of a tenant, as one server is to have it.
pub(super) struct Page {
    /// The events.
    pub(super) events: Vec<(At, EventNumber)>,
    /// Up to where the log was read.
    pub(super) up_to: At,
    /// Whether it was read to its end.
    pub(super) is_end: bool,
}

/// The servers that are to have an event: those in the room since before it, and those whom it is about. Not tenants of this
/// process: they have it.
pub(super) async fn recipients(
    reader: &Reader,
    identities: &dyn Identities,
    position: Position,
    row: &OutgoingRow,
) -> Result<BTreeSet<OwnedServerName>, Unreadable> {
    let in_room = reader.servers_in(row.room).await?;
    let mut servers: BTreeSet<OwnedServerName> =
        in_room.into_iter().filter(|(_, server)| server.since < position).map(|(name, _)| name).collect();
    servers.extend(row.others.iter().cloned());
    servers.retain(|server| identities.tenant(server).is_none());
    Ok(servers)
}

/// Up to `limit` events of a tenant's log after a place that a server is to have.
pub(super) async fn missed(
    reader: &Reader,
    (tenant, server): (TenantNumber, &ServerName),
    after: At,
    limit: usize,
) -> Result<Page, Unreadable> {
    let rows = reader.outgoing(tenant, after, LOG_ROWS_MAX).await?;
    let is_end = rows.len() < LOG_ROWS_MAX;
    let mut page = Page { events: Vec::new(), up_to: after, is_end };
    for (at, row) in rows {
        if page.events.len() == limit {
            page.is_end = false;
            break;
        }
        let is_in = reader.server_in(row.room, server).await?.is_some_and(|known| known.since < at.0);
        if is_in || row.others.iter().any(|other| other == server) {
            page.events.push((at, row.event));
        }
        page.up_to = at;
    }
    Ok(page)
}
