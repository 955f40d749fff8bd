//! Users who asked, when they gave their account up, that what they said be shown to nobody new
//! (<https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate>).
//!
//! > Erasure means that any users (or servers) which join the room after the erasure request are served redacted copies of
//! > the events sent by this account. Users which had visibility on those events prior to the erasure are still able to see
//! > unredacted copies. No redactions are sent and the erasure request is not shared over federation, so other servers
//! > might still serve unredacted copies.
//!
//! What a user said are messages, and what the user's own membership shows. Other state stays whole: who joins later would
//! take an encrypted room for one that is not.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_lock::OnceCell;
use freehold_store::tables::accounts::ERASED;
use freehold_store::tables::rooms::{Membership, MembershipRow};
use freehold_store::{Order, Position, Store, TimelineIndex, UserNumber};

use crate::read::{Reader, StoredEvent, Unreadable, Viewer};
use crate::rooms::Rooms;

/// Who asked, and when; read once.
#[derive(Default)]
pub(crate) struct Erased(OnceCell<RwLock<BTreeMap<UserNumber, Position>>>);

impl Erased {
    async fn known(&self, store: &Store) -> Result<&RwLock<BTreeMap<UserNumber, Position>>, Unreadable> {
        self.0
            .get_or_try_init(|| async {
                // Of now, not of what somebody reads: what is learnt between the two is noted in what is read here.
                let snapshot = store.snapshot()?;
                let rows = snapshot.scan_prefix(&ERASED, &(), Order::Ascending, usize::MAX).await?;
                Ok(RwLock::new(rows.into_iter().collect()))
            })
            .await
    }
}

impl Rooms {
    /// Notes that a user asked, which is durable by now.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn note_erased(&self, user: UserNumber) -> Result<(), Unreadable> {
        let known = self.0.erased.known(&self.0.store).await?;
        if let Some(at) = self.0.store.snapshot()?.get(&ERASED, &user).await? {
            known.write().unwrap_or_else(PoisonError::into_inner).insert(user, at);
        }
        Ok(())
    }

    /// When a user asked, if the user did.
    async fn erased_at(&self, user: UserNumber) -> Result<Option<Position>, Unreadable> {
        let known = self.0.erased.known(&self.0.store).await?;
        Ok(known.read().unwrap_or_else(PoisonError::into_inner).get(&user).copied())
    }
}

impl Reader {
    /// An event as a viewer who may see it sees it: whole, or what a redaction leaves of it.
    pub(crate) async fn seen(
        &self,
        viewer: &Viewer,
        event: &Arc<StoredEvent>,
    ) -> Result<Arc<StoredEvent>, Unreadable> {
        let Some(erased) = self.erasure_of(event).await? else { return Ok(Arc::clone(event)) };
        let row = self.membership(viewer.user, event.row.room).await?;
        let had_seen = row.is_some_and(|row| was_in_before(&row, erased))
            || self.membership_at(viewer, event).await? == Some(Membership::Join);
        Ok(if had_seen { Arc::clone(event) } else { Arc::new(event.redacted()) })
    }

    /// When the sender of an event asked that it be shown to nobody new, if it is one that the sender said.
    pub(crate) async fn erasure_of(&self, event: &StoredEvent) -> Result<Option<Position>, Unreadable> {
        let is_own = match event.pdu.state_key() {
            None => true,
            Some(key) => event.pdu.event_type() == "m.room.member" && key == event.pdu.sender().as_str(),
        };
        if is_own { self.rooms.erased_at(event.row.sender).await } else { Ok(None) }
    }
}

/// Whether a user came into a room before a position, as far as is known of who left.
fn was_in_before(row: &MembershipRow, at: Position) -> bool {
    match row.membership {
        Membership::Join => row.since < at,
        _ => row.joined_until.is_some_and(|until| until < TimelineIndex::at(at, 0)),
    }
}
