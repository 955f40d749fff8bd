//! Servers that begin to share a room with users of tenants: they are told of those users' devices
//! (<https://spec.matrix.org/v1.19/server-server-api/#device-management>).

use std::collections::BTreeSet;

use freehold_store::tables::encryption::DEVICE_LIST_UPDATES;
use freehold_store::tables::outbound::OUTGOING_DEVICE_LISTS;
use freehold_store::tables::rooms::{MEMBERSHIPS, Membership, ROOM_SERVERS};
use freehold_store::{Order, ReadError, UserNumber};
use ruma_common::OwnedServerName;

use crate::error::ActionError;
use crate::work::Work;

/// In so many other rooms of a user it is looked whether a server is told already. A server that is told twice asks for the
/// list, or knows that it has it.
const ROOMS_LOOKED_AT: usize = 64;

impl Work {
    /// Has the servers in the room be told of the devices of users who come in with this change. To be called before it is
    /// written who is in the room.
    ///
    /// > Servers must send `m.device_list_update` EDUs […] when that user joins a room which contains servers which are not
    /// > already receiving updates for that user's device list
    pub(crate) async fn tell_of_devices(&mut self) -> Result<(), ActionError> {
        let came = std::mem::take(&mut self.beside.came);
        self.beside.some_came = !came.is_empty();
        if came.is_empty() {
            return Ok(());
        }
        let servers = self.foreign_servers_after().await?;
        for (tenant, user) in came {
            if servers.is_empty() || !self.has_told_devices(user).await? {
                continue;
            }
            let new = self.not_told_yet(user, servers.clone()).await?;
            new.iter().for_each(|server| self.batch.send_to(tenant, server.clone()));
            self.batch.at_position(move |position, writes| {
                for server in new {
                    writes.put(&OUTGOING_DEVICE_LISTS, &(tenant, server, user), &position);
                }
            });
        }
        Ok(())
    }

    /// The servers in the room after this change that are not hosted here.
    async fn foreign_servers_after(&self) -> Result<BTreeSet<OwnedServerName>, ReadError> {
        let room = (self.number,);
        let known = match self.foreign_servers {
            // There can be any number of tenants.
            0 => Vec::new(),
            _ => self.snapshot.scan_prefix(&ROOM_SERVERS, &room, Order::Ascending, usize::MAX).await?,
        };
        let known = known.into_iter().map(|((_, server), row)| (server, row.joined));
        let mut servers = self.beside.servers.added_to(known);
        servers.retain(|server| self.rooms.0.outside.identities.tenant(server).is_none());
        Ok(servers)
    }

    /// Whether there is something to tell of a user's devices.
    async fn has_told_devices(&self, user: UserNumber) -> Result<bool, ReadError> {
        let last = self.snapshot.scan_prefix(&DEVICE_LIST_UPDATES, &user, Order::Descending, 1).await?;
        Ok(!last.is_empty())
    }

    /// Those of some servers that share no other room with a user.
    async fn not_told_yet(
        &self,
        user: UserNumber,
        mut servers: BTreeSet<OwnedServerName>,
    ) -> Result<BTreeSet<OwnedServerName>, ReadError> {
        let rooms = self.snapshot.scan_prefix(&MEMBERSHIPS, &(user,), Order::Ascending, usize::MAX).await?;
        let others = rooms
            .into_iter()
            .filter(|((_, room), row)| *room != self.number && row.membership == Membership::Join);
        for ((_, room), _) in others.take(ROOMS_LOOKED_AT) {
            let places: Vec<_> = servers.iter().map(|server| (room, server.clone())).collect();
            let found = self.snapshot.get_many(&ROOM_SERVERS, &places).await?;
            for ((_, server), _) in places.into_iter().zip(found).filter(|(_, row)| row.is_some()) {
                servers.remove(&server);
            }
            if servers.is_empty() {
                break;
            }
        }
        Ok(servers)
    }
}
