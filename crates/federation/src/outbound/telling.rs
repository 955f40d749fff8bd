//! What is told to the other servers in a room and not written down.

use freehold_rooms::Unreadable;
use freehold_store::Tenant;
use ruma_common::{OwnedServerName, RoomId, UserId};

use super::audience::Include;
use super::ephemeral::{Ephemeral, ToldPresence, ToldReceipt};
use super::service::Outbound;

impl Outbound {
    /// Tells the other servers in a room that a user of a tenant types, or stopped.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn tell_typing(
        &self,
        tenant: &Tenant,
        (room_id, user_id): (&RoomId, &UserId),
        typing: bool,
    ) -> Result<(), Unreadable> {
        self.tell(tenant, room_id, |waiting| {
            waiting.type_in(room_id.to_owned(), user_id.to_owned(), typing);
        })
        .await
    }

    /// Tells the other servers in a room up to where a user of a tenant read.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn tell_receipt(
        &self,
        tenant: &Tenant,
        (room_id, user_id): (&RoomId, &UserId),
        receipt: &ToldReceipt,
    ) -> Result<(), Unreadable> {
        self.tell(tenant, room_id, |waiting| {
            waiting.read_in(room_id.to_owned(), user_id.to_owned(), receipt.clone());
        })
        .await
    }

    /// Tells servers that a user of a tenant came or went. Those with which the tenant does not speak, and tenants, are
    /// left out.
    pub fn tell_presence(
        &self,
        tenant: &Tenant,
        servers: impl IntoIterator<Item = OwnedServerName>,
        (user_id, presence): (&UserId, &ToldPresence),
    ) {
        self.tell_servers(tenant, servers, |waiting| waiting.be(user_id.to_owned(), presence.clone()));
    }

    async fn tell(
        &self,
        tenant: &Tenant,
        room_id: &RoomId,
        add: impl Fn(&mut Ephemeral),
    ) -> Result<(), Unreadable> {
        let reader = self.0.parts.rooms.reader()?;
        let Some(room) = reader.room_number(room_id).await? else { return Ok(()) };
        let audience = self.audience(&reader, (tenant.number(), room), Include::Attentive).await?;
        let servers = audience.queues.iter().map(|((_, server), _)| server.clone());
        self.tell_servers(tenant, servers, add);
        Ok(())
    }

    fn tell_servers(
        &self,
        tenant: &Tenant,
        servers: impl IntoIterator<Item = OwnedServerName>,
        add: impl Fn(&mut Ephemeral),
    ) {
        let servers: Vec<_> =
            servers.into_iter().filter(|server| self.speaks(Some(tenant), server)).collect();
        {
            let mut state = self.0.lock();
            for server in servers {
                let key = (tenant.number(), server);
                let queue = state.queue(&key);
                if queue.hears() {
                    add(&mut queue.ephemeral);
                }
                state.wake(&key);
            }
        }
        self.0.announce();
    }
}
