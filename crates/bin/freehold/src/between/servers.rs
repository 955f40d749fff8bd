//! Which servers a tenant reaches, and what those elsewhere say of devices, as encryption asks for it.

use std::time::Duration;

use freehold_encryption::{ForeignMembers, NotAnswered, Servers};
use freehold_federation::{Client, Request};
use freehold_rooms::{Rooms, Unreadable};
use freehold_store::{BoxFuture, Position, ReadError, RoomNumber, Snapshot, Tenant, UserNumber};
use freehold_tenancy::Tenancy;
use ruma_common::{ServerName, UserId};

/// Tenants as servers to each other, within the policies of both; and the servers elsewhere.
pub(crate) struct TenantsAsServers {
    pub(crate) tenancy: Tenancy,
    pub(crate) client: Client,
    pub(crate) rooms: Rooms,
}

/// Bytes of an answer about keys.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

impl Servers for TenantsAsServers {
    fn is_hosted(&self, server_name: &ServerName) -> bool {
        self.tenancy.by_server_name(server_name).is_some()
    }

    fn reach(&self, asker: &Tenant, server_name: &ServerName) -> Option<Tenant> {
        self.tenancy.reach(asker, server_name)
    }

    fn devices<'a>(
        &'a self,
        tenant: &'a Tenant,
        user_id: &'a UserId,
        within: Duration,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        let request = Request::get(format!("/_matrix/federation/v1/user/devices/{}", encoded(user_id)));
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

    fn claim_keys<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        body: String,
        within: Duration,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        let request = Request::post("/_matrix/federation/v1/user/keys/claim", body);
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
            read(reader.shares_room(user, other, since).await)
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
            let members = read(reader.members_elsewhere(room, after).await)?;
            Ok(ForeignMembers { joined: members.joined, left: members.left })
        })
    }
}

impl TenantsAsServers {
    async fn ask(&self, tenant: &Tenant, at: &ServerName, request: Request) -> Result<String, NotAnswered> {
        let request = request.up_to(ANSWER_BYTES_MAX);
        let answer = self.client.request(tenant, at, request).await.map_err(|error| {
            tracing::debug!(server = %at, %error, "keys cannot be had");
            NotAnswered
        })?;
        String::from_utf8(answer.body.to_vec()).map_err(|_| NotAnswered)
    }
}

/// A damaged room is nobody's: everything else goes on.
fn read<T: Default>(result: Result<T, Unreadable>) -> Result<T, ReadError> {
    match result {
        Err(Unreadable::Read(error)) => Err(error),
        Err(error) => {
            tracing::error!(%error, "a room cannot be read");
            Ok(T::default())
        }
        Ok(value) => Ok(value),
    }
}

/// An identifier in a path.
fn encoded(id: &UserId) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    id.as_str().bytes().map(encode).collect()
}
