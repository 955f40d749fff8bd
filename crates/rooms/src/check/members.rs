//! Members against the current state.

use std::collections::BTreeMap;

use freehold_store::tables::identity::{STATE_KEYS, USER_IDS};
use freehold_store::tables::rooms::{
    CurrentStateRow, EVENTS, LOCAL_MEMBERS, MEMBER_CHANGES, MEMBERSHIPS, Membership, PARTIAL_ROOMS,
    ROOM_SERVERS,
};
use freehold_store::{EventNumber, Order, ReadError, RoomNumber, StateKeyNumber, TenantNumber, UserNumber};
use ruma_common::{OwnedServerName, OwnedUserId, UserId};

use super::{Checking, PAGE, RoomFault};

/// What the state says of its members.
#[derive(Default)]
struct Members {
    joined: u64,
    invited: u64,
    /// How many are joined, by server.
    servers: BTreeMap<OwnedServerName, u64>,
    /// Those of tenants.
    locals: BTreeMap<OwnedUserId, (Membership, EventNumber)>,
}

impl Checking<'_> {
    /// The counts and the rows of members are what the state says.
    pub(crate) async fn members(
        &mut self,
        room: RoomNumber,
        current: &CurrentStateRow,
        entries: Vec<(u64, EventNumber)>,
    ) -> Result<(), ReadError> {
        let members = self.members_of(entries).await?;
        let counts =
            [("joined", current.joined, members.joined), ("invited", current.invited, members.invited)];
        for (membership, said, counted) in counts {
            if said != counted {
                let fault = RoomFault::Count { membership, said, counted };
                self.report("current_state", (room, None), fault);
            }
        }
        // The servers of a partial room are those that another server named.
        if self.snapshot.get(&PARTIAL_ROOMS, &room).await?.is_none() {
            self.servers(room, members.servers).await?;
        }
        self.local_members(room, members.locals).await
    }

    async fn members_of(&self, entries: Vec<(u64, EventNumber)>) -> Result<Members, ReadError> {
        let mut members = Members::default();
        for page in entries.chunks(PAGE) {
            let keys: Vec<StateKeyNumber> = page.iter().map(|(key, _)| StateKeyNumber(*key)).collect();
            let events: Vec<EventNumber> = page.iter().map(|(_, event)| *event).collect();
            let keys = self.snapshot.get_many(&STATE_KEYS, &keys).await?;
            let rows = self.snapshot.get_many(&EVENTS, &events).await?;
            for ((key, event), row) in keys.into_iter().zip(events).zip(rows) {
                let user = key.filter(|(event_type, _)| event_type == "m.room.member").map(|(_, user)| user);
                let (Some(user), Some(membership)) = (user, row.and_then(|row| row.membership)) else {
                    continue;
                };
                members.joined += u64::from(membership == Membership::Join);
                members.invited += u64::from(membership == Membership::Invite);
                let Ok(user) = UserId::parse(user) else { continue };
                if membership == Membership::Join {
                    *members.servers.entry(user.server_name().to_owned()).or_default() += 1;
                }
                if self.tenants.contains_key(user.server_name()) {
                    members.locals.insert(user, (membership, event));
                }
            }
        }
        Ok(members)
    }

    /// The rows of servers are what the state says of their users.
    async fn servers(
        &mut self,
        room: RoomNumber,
        mut counted: BTreeMap<OwnedServerName, u64>,
    ) -> Result<(), ReadError> {
        let rows = self.snapshot.scan_prefix(&ROOM_SERVERS, &(room,), Order::Ascending, usize::MAX).await?;
        let said = rows.into_iter().map(|((_, server), row)| (server, row.joined));
        let mut wrong: Vec<(OwnedServerName, u64, u64)> = said
            .map(|(server, said)| (counted.remove(&server).unwrap_or(0), server, said))
            .map(|(counted, server, said)| (server, said, counted))
            .filter(|(_, said, counted)| said != counted)
            .collect();
        wrong.extend(counted.into_iter().map(|(server, counted)| (server, 0, counted)));
        for (server, said, counted) in wrong {
            let fault = RoomFault::Server { server, said, counted };
            self.report("room_servers", (room, None), fault);
        }
        Ok(())
    }

    /// The rows of the users of tenants against what the state says of them. Of a room that nobody here is in, the state may be
    /// old; and what happened to the users of a tenant while it was out of service, it is not told.
    async fn local_members(
        &mut self,
        room: RoomNumber,
        mut expected: BTreeMap<OwnedUserId, (Membership, EventNumber)>,
    ) -> Result<(), ReadError> {
        let rows = self.snapshot.scan_prefix(&LOCAL_MEMBERS, &(room,), Order::Ascending, usize::MAX).await?;
        if !rows.iter().any(|(_, membership)| *membership == Membership::Join)
            && !expected.values().any(|(membership, _)| *membership == Membership::Join)
        {
            return Ok(());
        }
        for page in rows.chunks(PAGE) {
            let users: Vec<UserNumber> = page.iter().map(|((_, _, user), _)| *user).collect();
            let ids = self.snapshot.get_many(&USER_IDS, &users).await?;
            for (((_, tenant, user), membership), user_id) in page.iter().zip(ids) {
                let Some(user_id) = user_id.filter(|user_id| self.in_service(user_id) == Some(*tenant))
                else {
                    continue;
                };
                let found = expected.remove(&user_id);
                self.local_member((room, *user), user_id, *membership, found).await?;
            }
        }
        for (user, (membership, event)) in expected {
            if self.in_service(&user).is_some() {
                let fault = RoomFault::Member { user, said: None, found: Some(membership) };
                self.report("local_members", (room, Some(event)), fault);
            }
        }
        Ok(())
    }

    async fn local_member(
        &mut self,
        (room, user): (RoomNumber, UserNumber),
        user_id: OwnedUserId,
        said: Membership,
        found: Option<(Membership, EventNumber)>,
    ) -> Result<(), ReadError> {
        let event = found.map(|(_, event)| event);
        let found = found.map(|(membership, _)| membership);
        // A member event that says nothing is taken for somebody who left.
        if found.unwrap_or(Membership::Leave) != said {
            let fault = RoomFault::Member { user: user_id.clone(), said: Some(said), found };
            self.report("local_members", (room, event), fault);
        }
        // `check_references` finds entries without such a row, and members.
        let Some(row) = self.snapshot.get(&MEMBERSHIPS, &(user, room)).await? else { return Ok(()) };
        if row.membership != said {
            let fault = RoomFault::Member { user: user_id, said: Some(row.membership), found };
            self.report("memberships", (room, event), fault);
        } else if event.is_some_and(|event| event != row.event) {
            self.report("memberships", (room, event), RoomFault::MemberEvent { user: user_id });
        } else if said == Membership::Join
            && self.snapshot.get(&MEMBER_CHANGES, &(room, row.since, user)).await?.is_none()
        {
            self.report("member_changes", (room, event), RoomFault::MemberChange { user: user_id });
        }
        Ok(())
    }

    /// The tenant whose user it is, if that is in service.
    fn in_service(&self, user: &UserId) -> Option<TenantNumber> {
        let (tenant, active) = self.tenants.get(user.server_name())?;
        active.then_some(*tenant)
    }
}
