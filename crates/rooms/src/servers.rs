//! The servers in a room, and what they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freehold_room::Event;
use freehold_store::tables::rooms::{
    CURRENT_STATE, FORMER_SERVERS, MISSING_PREVS, Membership, OUTGOING, OutgoingRow, ROOM_SERVERS,
    RoomServerRow,
};
use freehold_store::{EventNumber, Order, Position, RoomNumber, Snapshot, Tenant, TenantNumber};
use ruma_common::{OwnedEventId, OwnedServerName, ServerName, UserId};

use crate::error::ActionError;
use crate::read::{Reader, RoomFacts, Unreadable};
use crate::rooms::Rooms;
use crate::work::Work;
use crate::write::membership_of;

/// By how much the numbers of joined users change, by server.
#[derive(Debug, Default)]
pub(crate) struct ServerCounts(BTreeMap<OwnedServerName, i64>);

impl ServerCounts {
    /// Counts a user of a server whose membership was one thing and is another now.
    pub(crate) fn count(
        &mut self,
        server: &ServerName,
        (before, after): (Option<Membership>, Option<Membership>),
    ) {
        let joined = |membership: Option<Membership>| i64::from(membership == Some(Membership::Join));
        self.step(server, joined(after) - joined(before));
    }

    /// Counts some users of a server more, or fewer.
    pub(crate) fn step(&mut self, server: &ServerName, step: i64) {
        if step != 0 {
            *self.0.entry(server.to_owned()).or_default() += step;
        }
    }

    /// The servers with joined users after the changes, when some have as many before them.
    pub(crate) fn added_to(
        &self,
        known: impl IntoIterator<Item = (OwnedServerName, u64)>,
    ) -> BTreeSet<OwnedServerName> {
        let mut joined: BTreeMap<OwnedServerName, u64> = known.into_iter().collect();
        for (server, step) in &self.0 {
            let joined = joined.entry(server.clone()).or_default();
            *joined = joined.saturating_add_signed(*step);
        }
        joined.into_iter().filter(|(_, joined)| *joined > 0).map(|(server, _)| server).collect()
    }
}

/// How many servers are in a room that are not hosted here.
pub(crate) async fn foreign_servers(
    rooms: &Rooms,
    snapshot: &Snapshot,
    room: RoomNumber,
) -> Result<u64, ActionError> {
    let servers = snapshot.scan_prefix(&ROOM_SERVERS, &(room,), Order::Ascending, usize::MAX).await?;
    let identities = &rooms.0.outside.identities;
    let foreign = servers.iter().filter(|((_, server), _)| identities.tenant(server).is_none());
    Ok(foreign.count() as u64)
}

impl Work {
    /// A tenant sends a staged event to the other servers in the room.
    pub(crate) fn send_out(&mut self, tenant: &Tenant, event: &Event) {
        self.beside.outgoing.insert(event.number, tenant.number());
    }

    /// Writes which servers have users in the room.
    pub(crate) async fn write_servers(&mut self) -> Result<(), ActionError> {
        let steps = std::mem::take(&mut self.beside.servers).0;
        for (server, step) in steps {
            let is_foreign = self.rooms.0.outside.identities.tenant(&server).is_none();
            let key = (self.number, server);
            let known = self.snapshot.get(&ROOM_SERVERS, &key).await?;
            let joined = known.as_ref().map_or(0, |row| row.joined).saturating_add_signed(step);
            match known {
                Some(_) if joined == 0 => {
                    self.batch.delete(&ROOM_SERVERS, &key);
                    self.batch.put(&FORMER_SERVERS, &key, &());
                    self.foreign_servers = self.foreign_servers.saturating_sub(u64::from(is_foreign));
                }
                Some(row) => self.batch.put(&ROOM_SERVERS, &key, &RoomServerRow { joined, ..row }),
                None if joined == 0 => {}
                None => {
                    self.foreign_servers += u64::from(is_foreign);
                    // Whoever comes in meets those who are there.
                    if is_foreign && self.row.is_some() && !self.beside.some_came {
                        let (rooms, newcomer) = (self.rooms.clone(), key.1.clone());
                        self.batch.once_durable(move |_| rooms.0.newcomers.came(key.0, newcomer));
                    }
                    self.batch.at_position(move |since, writes| {
                        writes.put(&ROOM_SERVERS, &key, &RoomServerRow { joined, since });
                    });
                }
            }
        }
        Ok(())
    }

    /// Writes what tenants send to other servers. `before` is how many of those were in the room before the change: to
    /// whom it is shown that they no longer are.
    pub(crate) fn write_outgoing(&mut self, before: u64) {
        let outgoing = std::mem::take(&mut self.beside.outgoing);
        let is_shared = before > 0 || self.foreign_servers > 0;
        let mut rows = Vec::new();
        for (place, receipt) in self.staged.iter().enumerate() {
            let Some(tenant) = outgoing.get(&receipt.event.number) else { continue };
            let others: Vec<OwnedServerName> = self.meant(&receipt.event).into_iter().collect();
            if is_shared || !others.is_empty() {
                let (event, queued_ts) = (EventNumber(receipt.event.number), self.rooms.now_ts());
                let row = OutgoingRow { room: self.number, event, queued_ts, others };
                rows.push((*tenant, u16::try_from(place).unwrap_or(u16::MAX), row));
            }
        }
        if rows.is_empty() {
            return;
        }
        rows.iter().for_each(|(tenant, ..)| self.batch.send_events(*tenant));
        self.batch.at_position(move |position, writes| {
            for (tenant, place, row) in rows {
                writes.put(&OUTGOING, &(tenant, position, place), &row);
            }
        });
    }

    /// The server of somebody else's user whom an event invites, lets go or shuts out.
    fn meant(&self, event: &Event) -> Option<OwnedServerName> {
        let membership = membership_of(event)?;
        let target = event.pdu.state_key().filter(|target| *target != event.pdu.sender().as_str())?;
        let is_told = matches!(membership, Membership::Invite | Membership::Leave | Membership::Ban);
        let server = UserId::parse(target).ok().filter(|_| is_told)?.server_name().to_owned();
        self.rooms.0.outside.identities.tenant(&server).is_none().then_some(server)
    }
}

impl Reader {
    /// The servers with joined users in a room, those of tenants too, in the order of their names.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn servers_in(
        &self,
        room: RoomNumber,
    ) -> Result<Vec<(OwnedServerName, RoomServerRow)>, Unreadable> {
        let rows = self.snapshot.scan_prefix(&ROOM_SERVERS, &(room,), Order::Ascending, usize::MAX).await?;
        Ok(rows.into_iter().map(|((_, server), row)| (server, row)).collect())
    }

    /// Whether a server has joined users in a room, and since when.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn server_in(
        &self,
        room: RoomNumber,
        server: &ServerName,
    ) -> Result<Option<RoomServerRow>, Unreadable> {
        Ok(self.snapshot.get(&ROOM_SERVERS, &(room, server.to_owned())).await?)
    }

    /// Whether a server had joined users in a room once, and lost the last of them.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) async fn was_in_room(
        &self,
        room: RoomNumber,
        server: &ServerName,
    ) -> Result<bool, Unreadable> {
        Ok(self.snapshot.get(&FORMER_SERVERS, &(room, server.to_owned())).await?.is_some())
    }

    /// Up to `limit` rooms that tenants share with other servers, those in which something happened last first, each with a
    /// tenant that is in it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn shared_rooms(&self, limit: usize) -> Result<Vec<(Arc<RoomFacts>, Tenant)>, Unreadable> {
        let mut rooms = self.snapshot.scan_prefix(&CURRENT_STATE, &(), Order::Ascending, usize::MAX).await?;
        rooms.sort_by_key(|(_, row)| std::cmp::Reverse(row.last));
        let mut shared = Vec::new();
        for (number, _) in rooms {
            if shared.len() >= limit {
                break;
            }
            let servers = self.servers_in(number).await?;
            let tenant = |server: &OwnedServerName| self.rooms.0.outside.identities.tenant(server);
            let tenants: Vec<Tenant> = servers.iter().filter_map(|(server, _)| tenant(server)).collect();
            if tenants.len() < servers.len()
                && let Some(tenant) = tenants.into_iter().next()
                && let Some(room) = self.room(number).await?
            {
                shared.push((room, tenant));
            }
        }
        Ok(shared)
    }

    /// Events of a room that are missing, each with an event that follows it: where history ends here, and what else is not
    /// here. At most `limit`.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn missing_prev_events(
        &self,
        room: RoomNumber,
        limit: usize,
    ) -> Result<Vec<(OwnedEventId, EventNumber)>, Unreadable> {
        let rows = self.snapshot.scan_prefix(&MISSING_PREVS, &(room,), Order::Ascending, limit).await?;
        Ok(rows.into_iter().map(|((_, event_id, event), ())| (event_id, event)).collect())
    }

    /// Up to `limit` events that a tenant sends to other servers, those after a position and place, in order.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn outgoing(
        &self,
        tenant: TenantNumber,
        (position, place): (Position, u16),
        limit: usize,
    ) -> Result<Vec<((Position, u16), OutgoingRow)>, Unreadable> {
        let start = match place.checked_add(1) {
            Some(next) => (tenant, position, next),
            None => (tenant, Position(position.0.saturating_add(1)), 0),
        };
        let range = (&start, &(TenantNumber(tenant.0.saturating_add(1)),));
        let rows = self.snapshot.scan_range(&OUTGOING, range, Order::Ascending, limit).await?;
        Ok(rows.into_iter().map(|((_, position, place), row)| ((position, place), row)).collect())
    }
}
