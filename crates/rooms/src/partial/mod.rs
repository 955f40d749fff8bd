//! Rooms of whose members only a few are known yet: a large room can be used before all of them have come and were verified
//! (`omit_members` of
//! [`send_join`](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid)).
//!
//! Such a room has a row in [`PARTIAL_ROOMS`], written with the join. Meanwhile nothing is said or judged for which members
//! would have to be known:
//!
//! | what | meanwhile |
//! |---|---|
//! | events of users who are in it here, their own leaving | as ever: what authorises them is known |
//! | what they do about the membership of others, and who else wants in | [`ActionError::Partial`] |
//! | events of others | they are held ([`Rooms::hold`]), and judged when the room is whole |
//! | history | [`ActionError::Partial`]: who brings it asks again afterwards |
//! | what other servers ask | [`NotShown::Partial`](crate::NotShown::Partial), [`NotServed::Partial`](crate::NotServed::Partial) |
//! | what people read | who serves them waits for [`Rooms::whole`] |
//! | to whom events go | to the servers that the one that helped named |
//!
//! Of some members, or of other parts of the state, nobody may be able to tell the keys with which they are signed, at a join of any
//! kind. They are kept and verified when the keys can be had ([`Rooms::take_late_state`]); meanwhile the room can be used, and
//! no event is refused for ever for what may be lacking.
//!
//! [`Rooms::complete`] ends it: the state before the join comes whole, and so do all states after it. It may differ from what
//! was told at the join in nothing but members that are new. So nothing that was sent meanwhile would have been judged otherwise.

mod complete;
mod held;
mod join;
mod lacking;
mod now;
mod states;

use std::collections::BTreeSet;
use std::sync::Arc;

use freehold_store::tables::rooms::{PARTIAL_ROOMS, PartialRoomRow};
use freehold_store::{Order, RoomNumber, Tenant};
use ruma_common::{OwnedEventId, OwnedServerName, RoomId};

pub(crate) use self::complete::Completion;
pub use self::complete::Unverified;
pub use self::held::{HeldEvent, Hold};
pub(crate) use self::join::Said;
pub use self::lacking::{LackingRoom, LateState};
pub(crate) use self::now::PartialNow;
use crate::error::ActionError;
use crate::loaded::parse;
use crate::read::{Reader, RoomFacts, Unreadable};
use crate::rooms::Rooms;

/// A room of whose members only a few are known yet.
#[derive(Clone, Debug)]
pub struct PartialRoom {
    /// The room.
    pub room: Arc<RoomFacts>,
    /// The tenant whose user joined; `None` if there is no such tenant any more.
    pub tenant: Option<Tenant>,
    /// The join.
    pub join: OwnedEventId,
    /// The server that helped.
    pub resident: OwnedServerName,
    /// The servers that are in the room, as that one said.
    pub servers: Vec<OwnedServerName>,
    /// When that was, in milliseconds since the Unix epoch.
    pub since_ts: i64,
}

impl Rooms {
    /// Waits until all members of a room are known, for as long as that takes. Most rooms never were partial.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn whole(&self, room_id: &RoomId) -> Result<(), ActionError> {
        let mut changes = self.partial_changes();
        loop {
            changes.borrow_and_update();
            if self.count_partial_now().await? == 0 {
                return Ok(());
            }
            let reader = self.reader()?;
            let is_partial = match reader.room_number(room_id).await? {
                Some(room) => reader.is_partial(room).await?,
                None => false,
            };
            drop(reader);
            // Who tells of changes lives as long as this does.
            if !is_partial || changes.changed().await.is_err() {
                return Ok(());
            }
        }
    }
}

impl Reader {
    /// Whether only a few members of a room are known.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn is_partial(&self, room: RoomNumber) -> Result<bool, Unreadable> {
        Ok(self.snapshot.get(&PARTIAL_ROOMS, &room).await?.is_some())
    }

    /// The rooms of whose members only a few are known: mostly there is none.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn partial_rooms(&self) -> Result<Vec<PartialRoom>, Unreadable> {
        let rows = self.snapshot.scan_prefix(&PARTIAL_ROOMS, &(), Order::Ascending, usize::MAX).await?;
        let mut rooms = Vec::with_capacity(rows.len());
        for (number, row) in rows {
            rooms.extend(self.partial(number, row).await?);
        }
        Ok(rooms)
    }

    /// The numbers of those rooms, without a look at anything else of them.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn partial_numbers(&self) -> Result<BTreeSet<RoomNumber>, Unreadable> {
        let rows = self.snapshot.scan_prefix(&PARTIAL_ROOMS, &(), Order::Ascending, usize::MAX).await?;
        Ok(rows.into_iter().map(|(room, _)| room).collect())
    }

    /// A room, if only a few of its members are known.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn partial_room(&self, number: RoomNumber) -> Result<Option<PartialRoom>, Unreadable> {
        match self.snapshot.get(&PARTIAL_ROOMS, &number).await? {
            Some(row) => self.partial(number, row).await,
            None => Ok(None),
        }
    }

    async fn partial(
        &self,
        number: RoomNumber,
        row: PartialRoomRow,
    ) -> Result<Option<PartialRoom>, Unreadable> {
        let Some(room) = self.room(number).await? else { return Ok(None) };
        let json = self.snapshot.get(&freehold_store::tables::rooms::EVENT_JSON, &row.join).await?;
        let json = json.ok_or_else(|| Unreadable::damaged("a join is missing"))?;
        let join = parse(&json, room.version)?;
        let tenant = self.rooms.0.outside.identities.tenant(join.sender().server_name());
        let PartialRoomRow { resident, servers, since_ts, .. } = row;
        Ok(Some(PartialRoom { room, tenant, join: join.event_id().to_owned(), resident, servers, since_ts }))
    }
}
