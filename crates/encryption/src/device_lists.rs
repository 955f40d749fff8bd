//! Whose keys changed, for whom.
//!
//! The device list of a user of a tenant has one position: its last change. That of a user of another server has one for each tenant:
//! when the tenant was told of it. Whoever shares a room with the user learns of it. Who begins to share
//! a room learns of all others in it, as their lists may have changed unseen
//! (<https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user>).

use std::collections::{BTreeMap, BTreeSet};

use freehold_store::tables::encryption::{
    DEVICE_LIST_CHANGES, DEVICE_LISTS, FOREIGN_LIST_CHANGES, FOREIGN_LISTS_TOLD, SIGNED_USERS,
};
use freehold_store::tables::rooms::{
    LOCAL_MEMBERS, MEMBER_CHANGES, MEMBERSHIPS, Membership, MembershipRow, STATE_HISTORY,
};
use freehold_store::{
    Actor, Batch, Order, Position, ReadError, RoomNumber, Snapshot, TenantNumber, TimelineIndex, UserNumber,
};
use ruma_common::OwnedUserId;

use crate::elsewhere::Changed;
use crate::failure::Failure;
use crate::outside::Servers;
use crate::service::{Encryption, user_ids};

/// Whose device lists a client has to fetch or to forget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceListChanges {
    /// Users whose keys changed, or with whom a room is shared now.
    pub changed: Vec<OwnedUserId>,
    /// Users with whom no room is shared any more.
    pub left: Vec<OwnedUserId>,
}

/// So many changes are looked at one by one; if there are more, the user's rooms are.
const CHANGES_LOOKED_AT: usize = 128;

impl Encryption {
    /// What changed for a user after `from` and up to the snapshot.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn device_list_changes(
        &self,
        snapshot: &Snapshot,
        actor: &Actor,
        from: Position,
    ) -> Result<DeviceListChanges, Failure> {
        let (tenant, user) = (actor.tenant.number(), actor.user);
        let watcher = Watcher { snapshot, user, servers: &*self.0.servers };
        let lists = watcher.lists_changed(tenant, from).await?;
        let (came, went) = self.came_and_went(watcher, from).await?;
        let mut changed = watcher.users_signed(from).await?;
        changed.extend(came);
        let mut left = BTreeSet::new();
        // Most syncs end here: with whom a room is shared matters only if somebody's keys changed or somebody left.
        if !lists.is_empty() || !went.is_empty() {
            let sharing = watcher.sharing().await?;
            changed.extend(sharing.concerned(lists, (tenant, from)).await?);
            for other in went {
                if other != user && !changed.contains(&other) && !sharing.shares_with(other).await? {
                    left.insert(other);
                }
            }
        }
        Ok(DeviceListChanges {
            changed: user_ids(snapshot, changed).await?,
            left: user_ids(snapshot, left).await?,
        })
    }

    /// What changed for a user after `from`.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn device_list_changes_until_now(
        &self,
        actor: &Actor,
        from: Position,
    ) -> Result<DeviceListChanges, Failure> {
        self.device_list_changes(&self.snapshot()?, actor, from).await
    }

    /// Adds the note that a user's device list changed, and wakes who shares a room with them.
    pub(crate) async fn mark_device_list(
        &self,
        snapshot: &Snapshot,
        (user, changed): (UserNumber, Changed),
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        let before = snapshot.get(&DEVICE_LISTS, &user).await?;
        // No condition: of two changes at the same time both are told, and the entry of one of them is left behind.
        if let Some(before) = before {
            batch.delete(&DEVICE_LIST_CHANGES, &(before, user));
        }
        batch.at_position(move |position, writes| {
            writes.put(&DEVICE_LISTS, &user, &position);
            writes.put(&DEVICE_LIST_CHANGES, &(position, user), &());
        });
        let sharing = Watcher { snapshot, user, servers: &*self.0.servers }.sharing().await?;
        sharing.everybody().await?.into_iter().for_each(|watcher| batch.wake(watcher));
        batch.wake(user);
        self.tell_device_list(snapshot, (user, changed), batch).await
    }

    /// Adds the note that a tenant was told of a change of a list, and wakes who asked for it. Other servers hear it from the user's
    /// own.
    pub(crate) async fn mark_foreign_list(
        &self,
        snapshot: &Snapshot,
        (tenant, user): (TenantNumber, UserNumber),
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        // No condition, as above.
        if let Some(before) = snapshot.get(&FOREIGN_LISTS_TOLD, &(tenant, user)).await? {
            batch.delete(&FOREIGN_LIST_CHANGES, &(tenant, before, user));
        }
        batch.at_position(move |position, writes| {
            writes.put(&FOREIGN_LISTS_TOLD, &(tenant, user), &position);
            writes.put(&FOREIGN_LIST_CHANGES, &(tenant, position, user), &());
        });
        self.0.watching.of((tenant, user)).into_iter().for_each(|watcher| batch.wake(watcher));
        Ok(())
    }

    /// Users who may have begun or ceased to share a room with the user.
    async fn came_and_went(
        &self,
        watcher: Watcher<'_>,
        from: Position,
    ) -> Result<(BTreeSet<UserNumber>, BTreeSet<UserNumber>), ReadError> {
        let (mut came, mut went) = (BTreeSet::new(), BTreeSet::new());
        let lately = self.0.store.rooms_touched(from, watcher.snapshot.position());
        for (room, row) in watcher.rooms_among(lately.as_ref()).await? {
            let joined = row.membership == Membership::Join;
            if joined && row.since > from {
                came.extend(watcher.members(room).await?);
                came.extend(watcher.foreign(room, None).await?.0);
            } else if let Some(until) = left_after(&row, from).filter(|_| !joined) {
                went.extend(watcher.members_since(room, until).await?);
            } else if joined && watcher.has_new_state(room, from).await? {
                let (joined, left) = watcher.changed_members(room, from).await?;
                came.extend(joined);
                went.extend(left);
                let (joined, left) = watcher.foreign(room, Some(from)).await?;
                came.extend(joined);
                went.extend(left);
            }
        }
        Ok((came, went))
    }
}

/// When somebody left a room who had joined it, if that was after `from`. Whoever was invited, knocked or was banned without
/// having joined never shared it.
fn left_after(row: &MembershipRow, from: Position) -> Option<Position> {
    row.joined_until.and_then(TimelineIndex::position).filter(|until| *until > from)
}

fn range_after(from: Position) -> (Position, Position) {
    (Position(from.0.saturating_add(1)), Position(u64::MAX))
}

/// The rooms of a user, also those that they left.
async fn snapshot_rooms(
    snapshot: &Snapshot,
    user: UserNumber,
) -> Result<BTreeMap<RoomNumber, MembershipRow>, ReadError> {
    let rows = snapshot.scan_prefix(&MEMBERSHIPS, &user, Order::Ascending, usize::MAX).await?;
    Ok(rows.into_iter().map(|((_, room), row)| (room, row)).collect())
}

/// In so many rooms that changed lately the user is looked for; if there are more, all rooms of the user are read.
const ROOMS_LOOKED_AT: usize = 64;

/// Who wants to know.
#[derive(Clone, Copy)]
struct Watcher<'s> {
    snapshot: &'s Snapshot,
    user: UserNumber,
    servers: &'s dyn Servers,
}

impl<'s> Watcher<'s> {
    async fn sharing(self) -> Result<Sharing<'s>, ReadError> {
        Ok(Sharing { watcher: self, rooms: snapshot_rooms(self.snapshot, self.user).await? })
    }

    /// Whose lists changed, of all users of all tenants, and of those of other servers of whom the tenant was told; of each
    /// as many as are looked at one by one.
    async fn lists_changed(self, tenant: TenantNumber, from: Position) -> Result<Vec<UserNumber>, ReadError> {
        let (first, end) = range_after(from);
        let (order, limit) = (Order::Ascending, CHANGES_LOOKED_AT);
        let ours = self.snapshot.scan_range(&DEVICE_LIST_CHANGES, (&first, &end), order, limit).await?;
        let range = (&(tenant, first), &(tenant, end));
        let foreign = self.snapshot.scan_range(&FOREIGN_LIST_CHANGES, range, order, limit).await?;
        let ours = ours.into_iter().map(|((_, user), ())| user);
        Ok(ours.chain(foreign.into_iter().map(|((_, _, user), ())| user)).collect())
    }

    /// Whom the user signed.
    async fn users_signed(self, from: Position) -> Result<BTreeSet<UserNumber>, ReadError> {
        let (first, end) = range_after(from);
        let range = (&(self.user, first), &(self.user, end));
        let signed = self.snapshot.scan_range(&SIGNED_USERS, range, Order::Ascending, usize::MAX).await?;
        Ok(signed.into_iter().map(|(_, user)| user).collect())
    }

    /// The user's rooms among those that changed lately: every change of a membership is a change of its room. All of
    /// them when it is not known which changed.
    async fn rooms_among(
        self,
        lately: Option<&BTreeSet<RoomNumber>>,
    ) -> Result<Vec<(RoomNumber, MembershipRow)>, ReadError> {
        match lately.filter(|lately| lately.len() <= ROOMS_LOOKED_AT) {
            Some(lately) => {
                let places: Vec<_> = lately.iter().map(|room| (self.user, *room)).collect();
                let rows = self.snapshot.get_many(&MEMBERSHIPS, &places).await?;
                Ok(lately.iter().zip(rows).filter_map(|(room, row)| Some((*room, row?))).collect())
            }
            None => {
                let rooms = snapshot_rooms(self.snapshot, self.user).await?;
                let changed = |room: &RoomNumber| lately.is_none_or(|lately| lately.contains(room));
                Ok(rooms.into_iter().filter(|(room, _)| changed(room)).collect())
            }
        }
    }

    /// Whether the state of a room changed after `from`: messages bring nobody and take nobody away.
    async fn has_new_state(self, room: RoomNumber, from: Position) -> Result<bool, ReadError> {
        let (first, end) = range_after(from);
        let range = (&(room, first), &(room, end));
        Ok(!self.snapshot.scan_range(&STATE_HISTORY, range, Order::Ascending, 1).await?.is_empty())
    }

    /// The users of other servers in a room; after a position, who came and who went.
    async fn foreign(
        self,
        room: RoomNumber,
        after: Option<Position>,
    ) -> Result<(Vec<UserNumber>, Vec<UserNumber>), ReadError> {
        let members = self.servers.foreign_members(self.snapshot, room, after).await?;
        let joined = self.snapshot.numbers_of(&members.joined).await?;
        let left = self.snapshot.numbers_of(&members.left).await?;
        Ok((joined.into_iter().flatten().collect(), left.into_iter().flatten().collect()))
    }

    /// The other joined members of a room who are users of tenants.
    async fn members(self, room: RoomNumber) -> Result<Vec<UserNumber>, ReadError> {
        let rows = self.snapshot.scan_prefix(&LOCAL_MEMBERS, &room, Order::Ascending, usize::MAX).await?;
        let joined = rows.into_iter().filter(|(_, membership)| *membership == Membership::Join);
        Ok(joined.map(|((_, _, user), _)| user).filter(|user| *user != self.user).collect())
    }

    /// The other joined members of a room who were there when the user left it: who came later is nothing to the user.
    async fn members_since(self, room: RoomNumber, left: Position) -> Result<Vec<UserNumber>, ReadError> {
        let places: Vec<_> = self.members(room).await?.into_iter().map(|user| (user, room)).collect();
        let rows = self.snapshot.get_many(&MEMBERSHIPS, &places).await?;
        let members = places.into_iter().zip(rows);
        let were_there = members.filter(|(_, row)| row.as_ref().is_some_and(|row| row.since <= left));
        let mut members: Vec<UserNumber> = were_there.map(|((user, _), _)| user).collect();
        let (foreign, _) = self.foreign(room, None).await?;
        let (later, _) = self.foreign(room, Some(left)).await?;
        members.extend(foreign.into_iter().filter(|user| !later.contains(user)));
        Ok(members)
    }

    /// The members of a room who joined, and those who left, after `from`: as much is read as changed, however many members
    /// there are.
    async fn changed_members(
        self,
        room: RoomNumber,
        from: Position,
    ) -> Result<(Vec<UserNumber>, Vec<UserNumber>), ReadError> {
        let (first, end) = range_after(from);
        let range = (&(room, first), &(room, end));
        let rows = self.snapshot.scan_range(&MEMBER_CHANGES, range, Order::Ascending, usize::MAX).await?;
        let places: Vec<_> = rows.into_iter().map(|((_, _, user), ())| (user, room)).collect();
        let memberships = self.snapshot.get_many(&MEMBERSHIPS, &places).await?;
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        for ((user, _), row) in places.into_iter().zip(memberships) {
            match row {
                Some(row) if row.membership == Membership::Join => joined.push(user),
                Some(row) if left_after(&row, from).is_some() => left.push(user),
                _ => {}
            }
        }
        Ok((joined, left))
    }
}

/// With whom a user shares rooms.
struct Sharing<'s> {
    watcher: Watcher<'s>,
    rooms: BTreeMap<RoomNumber, MembershipRow>,
}

impl Sharing<'_> {
    fn is_joined(&self, room: RoomNumber) -> bool {
        self.rooms.get(&room).is_some_and(|row| row.membership == Membership::Join)
    }

    /// Those whose lists changed that concern the user: who share a room; also the user.
    async fn concerned(
        &self,
        lists: Vec<UserNumber>,
        (tenant, from): (TenantNumber, Position),
    ) -> Result<BTreeSet<UserNumber>, ReadError> {
        if lists.len() >= CHANGES_LOOKED_AT {
            return self.changed_lists_in_rooms(tenant, from).await;
        }
        let mut changed = BTreeSet::new();
        for other in lists {
            if other == self.watcher.user || self.shares_with(other).await? {
                changed.insert(other);
            }
        }
        Ok(changed)
    }

    /// The same, by asking for everybody with whom a room is shared.
    async fn changed_lists_in_rooms(
        &self,
        tenant: TenantNumber,
        from: Position,
    ) -> Result<BTreeSet<UserNumber>, ReadError> {
        let Watcher { snapshot, user, .. } = self.watcher;
        let mut ours = self.everybody().await?;
        ours.insert(user);
        let mut foreign = BTreeSet::new();
        for (room, _) in self.rooms.iter().filter(|(_, row)| row.membership == Membership::Join) {
            foreign.extend(self.watcher.foreign(*room, None).await?.0);
        }
        let ours: Vec<UserNumber> = ours.into_iter().collect();
        let foreign: Vec<(TenantNumber, UserNumber)> =
            foreign.into_iter().map(|user| (tenant, user)).collect();
        let changed = ours.iter().copied().zip(snapshot.get_many(&DEVICE_LISTS, &ours).await?);
        let told = foreign.iter().map(|(_, user)| *user);
        let told = told.zip(snapshot.get_many(&FOREIGN_LISTS_TOLD, &foreign).await?);
        let changed = changed.chain(told).filter(|(_, last)| last.is_some_and(|last| last > from));
        Ok(changed.map(|(user, _)| user).collect())
    }

    async fn shares_with(&self, other: UserNumber) -> Result<bool, ReadError> {
        let Watcher { snapshot, user, servers } = self.watcher;
        let rows = snapshot_rooms(snapshot, other).await?;
        if rows.is_empty() {
            // No user of a tenant, or one who was never in a room.
            return servers.shares_room(snapshot, user, &snapshot.id_of(other).await?, None).await;
        }
        Ok(rows.iter().any(|(room, row)| row.membership == Membership::Join && self.is_joined(*room)))
    }

    /// Who is joined to a room that the user is joined to.
    async fn everybody(&self) -> Result<BTreeSet<UserNumber>, ReadError> {
        let mut everybody = BTreeSet::new();
        for (room, row) in &self.rooms {
            if row.membership == Membership::Join {
                everybody.extend(self.watcher.members(*room).await?);
            }
        }
        Ok(everybody)
    }
}
