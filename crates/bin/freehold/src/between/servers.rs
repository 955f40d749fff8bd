//! Which servers a tenant reaches, and what those elsewhere say of devices, as encryption asks for it.

use std::time::Duration;

use freehold_encryption::{ForeignMembers, NotAnswered, Servers};
use freehold_federation::{Client, Request};
use freehold_rooms::{Reader, Rooms, StoredEvent, Unreadable};
use freehold_store::tables::rooms::Membership;
use freehold_store::{
    BoxFuture, Position, ReadError, RoomNumber, Snapshot, Tenant, TenantNumber, TimelineIndex, UserNumber,
};
use freehold_tenancy::Tenancy;
use ruma_common::{OwnedUserId, ServerName, UserId};

/// Tenants as servers to each other, within the policies of both; and the servers elsewhere.
pub(crate) struct TenantsAsServers {
    pub(crate) tenancy: Tenancy,
    pub(crate) client: Client,
    pub(crate) rooms: Rooms,
}

/// How long a person waits for the keys of others: "10 seconds is the recommended default"
/// (<https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery>).
const PATIENCE: Duration = Duration::from_secs(10);
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
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        let request = Request::get(format!("/_matrix/federation/v1/user/devices/{}", encoded(user_id)));
        Box::pin(self.ask(tenant, user_id.server_name(), request))
    }

    fn query_keys<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        body: String,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        Box::pin(self.ask(tenant, at, Request::post("/_matrix/federation/v1/user/keys/query", body)))
    }

    fn claim_keys<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        body: String,
    ) -> BoxFuture<'a, Result<String, NotAnswered>> {
        Box::pin(self.ask(tenant, at, Request::post("/_matrix/federation/v1/user/keys/claim", body)))
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
            read(self.shares_room((&reader, user), other, since).await)
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
            let mut members = read(match after {
                None => members(&reader, room).await,
                Some(after) => members_changed(&reader, room, after).await,
            })?;
            let is_foreign = |user: &OwnedUserId| self.tenancy.by_server_name(user.server_name()).is_none();
            members.joined.retain(is_foreign);
            members.left.retain(is_foreign);
            Ok(members)
        })
    }
}

impl TenantsAsServers {
    async fn ask(&self, tenant: &Tenant, at: &ServerName, request: Request) -> Result<String, NotAnswered> {
        let request = request.within(PATIENCE).up_to(ANSWER_BYTES_MAX);
        let answer = self.client.request(tenant, at, request).await.map_err(|error| {
            tracing::debug!(server = %at, %error, "keys cannot be had");
            NotAnswered
        })?;
        String::from_utf8(answer.body.to_vec()).map_err(|_| NotAnswered)
    }

    async fn shares_room(
        &self,
        (reader, user): (&Reader, UserNumber),
        other: &UserId,
        since: Option<Position>,
    ) -> Result<bool, Unreadable> {
        for (room, row) in reader.memberships(user).await? {
            if row.membership != Membership::Join {
                continue;
            }
            let member = reader.current_state(room).await?.get("m.room.member", other.as_str()).await?;
            let Some(member) = member.filter(|event| is_joined(event)) else { continue };
            let is_told = match since {
                None => true,
                Some(since) => {
                    came(&member) <= since && self.is_in_since(reader, (room, row.tenant), since).await?
                }
            };
            if is_told {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a tenant is in a room since a position or longer.
    async fn is_in_since(
        &self,
        reader: &Reader,
        (room, tenant): (RoomNumber, TenantNumber),
        since: Position,
    ) -> Result<bool, Unreadable> {
        let Some(found) = self.tenancy.by_number(tenant) else { return Ok(false) };
        let row = reader.server_in(room, found.tenant.server_name()).await?;
        Ok(row.is_some_and(|row| row.since <= since))
    }
}

/// When a member event came; the beginning, if it came with the room.
fn came(event: &StoredEvent) -> Position {
    event.row.timeline.and_then(TimelineIndex::position).unwrap_or_default()
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

async fn members(reader: &Reader, room: RoomNumber) -> Result<ForeignMembers, Unreadable> {
    let members = reader.current_state(room).await?.members().await?;
    let joined = members.iter().filter(|event| is_joined(event)).filter_map(|event| member(event));
    Ok(ForeignMembers { joined: joined.collect(), left: Vec::new() })
}

async fn members_changed(
    reader: &Reader,
    room: RoomNumber,
    after: Position,
) -> Result<ForeignMembers, Unreadable> {
    let changes = reader.state_changes(room, (after, reader.position())).await?;
    let mut members = ForeignMembers::default();
    for change in changes.into_iter().filter(|change| change.event_type == "m.room.member") {
        let Ok(user_id) = UserId::parse(&change.state_key) else { continue };
        let was_joined = match change.old {
            Some(event) => is_joined(&*reader.event(event).await?),
            None => false,
        };
        let is_joined = match change.new {
            Some(event) => is_joined(&*reader.event(event).await?),
            None => false,
        };
        match (was_joined, is_joined) {
            (false, true) => members.joined.push(user_id),
            (true, false) => members.left.push(user_id),
            _ => {}
        }
    }
    Ok(members)
}

fn is_joined(event: &StoredEvent) -> bool {
    event.row.membership == Some(Membership::Join)
}

fn member(event: &StoredEvent) -> Option<OwnedUserId> {
    UserId::parse(event.pdu.state_key()?).ok()
}

/// An identifier in a path.
fn encoded(id: &UserId) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    id.as_str().bytes().map(encode).collect()
}
