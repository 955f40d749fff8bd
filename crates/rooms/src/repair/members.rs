//! The members, as the current state has them: what a check finds is put right.

use freehold_store::tables::identity::USER_IDS;
use freehold_store::tables::rooms::{
    FORMER_SERVERS, LOCAL_MEMBERS, MEMBER_CHANGES, MEMBERSHIPS, Membership, MembershipRow, ROOM_SERVERS,
    RoomServerRow,
};
use freehold_store::{EventNumber, Order, Position, TenantNumber, UserNumber};
use ruma_common::{OwnedServerName, OwnedUserId, UserId};

use super::Mending;
use crate::check::{Checking, RoomFault};
use crate::error::ActionError;

impl Mending {
    /// Counts, servers and users of tenants are what the current state says.
    pub(super) async fn mend_members(&mut self) -> Result<(), ActionError> {
        let view = self.view.clone();
        let mut check = Checking::of(&view).await?;
        let Ok(entries) = check.entries(self.current.state).await? else { return Ok(()) };
        // What is lost may be about members.
        if entries.iter().any(|(_, event)| self.lost.contains(event)) {
            return Ok(());
        }
        check.members(self.number, &self.current, entries).await?;
        let findings = check.take_findings();
        let tenants = std::mem::take(&mut check.tenants);
        for finding in findings {
            let what = finding.fault.to_string();
            let event = finding.event;
            let done = match finding.fault {
                RoomFault::Count { membership: "joined", counted, .. } => {
                    self.current.joined = counted;
                    true
                }
                RoomFault::Count { counted, .. } => {
                    self.current.invited = counted;
                    true
                }
                RoomFault::Server { server, counted, .. } => self.put_server(server, counted).await?,
                RoomFault::Member { user, .. }
                | RoomFault::MemberEvent { user }
                | RoomFault::MemberChange { user } => {
                    let tenant = tenants.get(user.server_name()).map(|(tenant, _)| *tenant);
                    self.put_member(&user, tenant).await?
                }
                _ => false,
            };
            if done {
                self.step(finding.table, event, what).await?;
            }
        }
        self.put_lost_members().await
    }

    /// What users of tenants themselves know of the room.
    async fn put_lost_members(&mut self) -> Result<(), ActionError> {
        let rows =
            self.view.scan_prefix(&LOCAL_MEMBERS, &(self.number,), Order::Ascending, usize::MAX).await?;
        for ((room, tenant, user), _) in rows {
            if self.view.get(&MEMBERSHIPS, &(user, room)).await?.is_none()
                && let Some(user_id) = self.view.get(&USER_IDS, &user).await?
                && self.put_member(&user_id, Some(tenant)).await?
            {
                let what = format!("the row of {user_id} is made anew");
                self.step("memberships", None, what).await?;
            }
        }
        Ok(())
    }

    async fn put_server(&mut self, server: OwnedServerName, joined: u64) -> Result<bool, ActionError> {
        let key = (self.number, server);
        match self.view.get(&ROOM_SERVERS, &key).await? {
            Some(_) if joined == 0 => self.overlay.write(|writes| {
                writes.delete(&ROOM_SERVERS, &key);
                writes.put(&FORMER_SERVERS, &key, &());
            }),
            Some(row) => {
                let row = RoomServerRow { joined, ..row };
                self.overlay.write(|writes| writes.put(&ROOM_SERVERS, &key, &row));
            }
            None => self.overlay.at_position(move |since, writes| {
                writes.put(&ROOM_SERVERS, &key, &RoomServerRow { joined, since });
            }),
        }
        Ok(true)
    }

    /// Sets what is noted of a user of a tenant to what the current state says. A state that says nothing is taken for somebody
    /// who left.
    async fn put_member(
        &mut self,
        user_id: &UserId,
        tenant: Option<TenantNumber>,
    ) -> Result<bool, ActionError> {
        let user: Option<UserNumber> = self.view.number_of(&OwnedUserId::from(user_id)).await?;
        let (Some(user), Some(tenant)) = (user, tenant) else { return Ok(false) };
        let state = freehold_state_map::NodeId::from_bytes(self.current.state);
        let found = self.computed(|shelf| {
            let state = shelf.open(state)?;
            Ok(shelf.event_in(&state, "m.room.member", user_id.as_str())?.cloned())
        });
        let Some(found) = found.await? else { return Ok(false) };
        let event = found.as_ref().map(|event| EventNumber(event.number));
        let membership = found.as_deref().and_then(crate::write::membership_of).unwrap_or(Membership::Leave);
        let key = (user, self.number);
        let known = self.view.get(&MEMBERSHIPS, &key).await?;
        let Some(event) = event.or(known.as_ref().map(|row| row.event)) else { return Ok(false) };
        let row = match known.clone() {
            Some(known) if known.membership == membership => MembershipRow { event, ..known },
            known => MembershipRow {
                membership,
                tenant,
                event,
                since: Position(0),
                joined_until: match known {
                    Some(row) if row.membership == Membership::Join => Some(self.current.last),
                    known => known.and_then(|row| row.joined_until),
                },
                forgotten: false,
                stripped_state: Vec::new(),
            },
        };
        self.write_member(user, row, known);
        Ok(true)
    }

    fn write_member(&mut self, user: UserNumber, row: MembershipRow, known: Option<MembershipRow>) {
        let room = self.number;
        self.overlay.write(|writes| writes.put(&LOCAL_MEMBERS, &(room, row.tenant, user), &row.membership));
        if row.since != Position(0) {
            let since = row.since;
            self.overlay.write(|writes| {
                writes.put(&MEMBERSHIPS, &(user, room), &row);
                writes.put(&MEMBER_CHANGES, &(room, since, user), &());
            });
            return;
        }
        if let Some(known) = known {
            self.overlay.write(|writes| writes.delete(&MEMBER_CHANGES, &(room, known.since, user)));
        }
        self.overlay.at_position(move |since, writes| {
            writes.put(&MEMBERSHIPS, &(user, room), &MembershipRow { since, ..row.clone() });
            writes.put(&MEMBER_CHANGES, &(room, since, user), &());
        });
    }
}
