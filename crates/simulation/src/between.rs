//! What the parts of a process ask of each other, as the homeserver wires it.

use std::collections::BTreeSet;
use std::time::Duration;

use freehold_encryption::{Encryption, ForeignMembers, NotAnswered, Servers};
use freehold_federation::{Client, DeviceNews, Outbound, OwnDevices, Request, ToldReceipt};
use freehold_rooms::Rooms;
use freehold_store::{BoxFuture, Position, ReadError, RoomNumber, Snapshot, Tenant, UserNumber};
use freehold_sync::{OtherServers, PublicReceipt, ToldPresence};
use ruma_common::{OwnedServerName, RoomId, ServerName, UserId};

use crate::hosted::Hosted;

/// Other servers, as they are told of typing and receipts.
pub(crate) struct ToldServers(pub(crate) Outbound);

impl OtherServers for ToldServers {
    fn typing<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: (&'a RoomId, &'a UserId),
        typing: bool,
    ) -> BoxFuture<'a, ()> {
        // A process that dies over it tells nobody.
        Box::pin(async move { drop(self.0.tell_typing(tenant, place, typing).await) })
    }

    fn receipt<'a>(
        &'a self,
        tenant: &'a Tenant,
        place: (&'a RoomId, &'a UserId),
        receipt: PublicReceipt,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let PublicReceipt { event_id, thread, ts } = receipt;
            drop(self.0.tell_receipt(tenant, place, &ToldReceipt { event_id, thread, ts }).await);
        })
    }

    /// Nobody here says that they are there.
    fn presence<'a>(
        &'a self,
        _: &'a Tenant,
        _: BTreeSet<OwnedServerName>,
        _: (&'a UserId, &'a ToldPresence),
    ) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The tenants of a process and the servers elsewhere, as encryption asks for them.
pub(crate) struct AllServers {
    pub(crate) hosted: Hosted,
    pub(crate) client: Client,
    pub(crate) rooms: Rooms,
}

impl AllServers {
    async fn ask(&self, tenant: &Tenant, at: &ServerName, request: Request) -> Result<String, NotAnswered> {
        let answer = self.client.request(tenant, at, request).await;
        String::from_utf8(answer.map_err(|_| NotAnswered)?.body.to_vec()).map_err(|_| NotAnswered)
    }
}

impl Servers for AllServers {
    fn is_hosted(&self, server_name: &ServerName) -> bool {
        self.hosted.find(server_name.as_str()).is_some()
    }

    fn reach(&self, _: &Tenant, server_name: &ServerName) -> Option<Tenant> {
        self.hosted.find(server_name.as_str())
    }

    fn devices<'a>(
        &'a self,
        tenant: &'a Tenant,
        user_id: &'a UserId,
        within: Duration,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        let user = user_id.as_str().replace('@', "%40").replace(':', "%3A");
        let request = Request::get(format!("/_matrix/federation/v1/user/devices/{user}"));
        Box::pin(self.ask(tenant, user_id.server_name(), request.within(within)))
    }

    fn query_keys<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        body: String,
        within: Duration,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        let request = Request::post("/_matrix/federation/v1/user/keys/query", body);
        Box::pin(self.ask(tenant, at, request.within(within)))
    }

    fn shares_room<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
        other: &'a UserId,
        since: Option<Position>,
    ) -> BoxFuture<'a, Result<bool, ReadError>> {
        Box::pin(async move {
            let reader = self.rooms.reader_at(snapshot.clone());
            Ok(reader.shares_room(user, other, since).await.unwrap())
        })
    }

    fn foreign_members<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        room: RoomNumber,
        after: Option<Position>,
    ) -> BoxFuture<'a, Result<ForeignMembers, ReadError>> {
        Box::pin(async move {
            let reader = self.rooms.reader_at(snapshot.clone());
            let members = reader.members_elsewhere(room, after).await.unwrap();
            Ok(ForeignMembers { joined: members.joined, left: members.left })
        })
    }
}

/// The devices of people here, for who tells other servers of them.
pub(crate) struct DevicesHere(pub(crate) Encryption);

impl OwnDevices for DevicesHere {
    fn device_list_update<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
    ) -> BoxFuture<'a, DeviceNews> {
        Box::pin(async move { Ok(self.0.device_list_update(snapshot, user).await?) })
    }

    fn signing_key_update<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        user: UserNumber,
    ) -> BoxFuture<'a, DeviceNews> {
        Box::pin(async move { Ok(self.0.signing_key_update(snapshot, user).await?) })
    }
}
