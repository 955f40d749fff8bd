//! Read receipts: up to where users read
//! (<https://spec.matrix.org/v1.19/client-server-api/#receipts>).

use std::collections::BTreeMap;

use freehold_rooms::{Rooms, Unreadable};
use freehold_store::tables::identity::{EVENT_NUMBERS, USER_IDS};
use freehold_store::tables::receipts::{RECEIPT_CHANGES, RECEIPTS, ReceiptKind, ReceiptRow, Told};
use freehold_store::tables::rooms::EVENTS;
use freehold_store::{
    Actor, Batch, CommitError, Key, Order, Position, ReadError, RoomNumber, Snapshot, Store, TenantNumber,
    TimelineIndex, UserNumber,
};
use ruma_common::{EventId, OwnedEventId, OwnedUserId, RoomId, UserId};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::other_servers::PublicReceipt;
use crate::response::EventJson;

/// How many receipts of a room a client is told of at once.
const RECEIPTS_MAX: usize = 10_000;

/// A receipt that a user wants to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReceipt {
    /// The event up to which the user read.
    pub event_id: OwnedEventId,
    /// Who may see it.
    pub kind: ReceiptKind,
    /// The thread: `main`, or the id of a thread root; without one, the receipt is for the whole room.
    pub thread: Option<String>,
}

impl NewReceipt {
    /// What others may know of it.
    pub(crate) fn as_public(&self, ts: i64) -> Option<PublicReceipt> {
        let (event_id, thread) = (self.event_id.clone(), self.thread.clone());
        (self.kind == ReceiptKind::Read).then_some(PublicReceipt { event_id, thread, ts })
    }
}

/// Why a receipt was not set.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The user is not in the room.
    #[error("you are not in this room")]
    NotJoined,
    /// The event is not one of the room's timeline.
    #[error("this room has no event `{0}`")]
    UnknownEvent(OwnedEventId),
    /// `thread_id` is no thread's.
    #[error("`thread_id` must be `main` or the id of an event of the room")]
    InvalidThread,
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The room cannot be read.
    #[error(transparent)]
    Room(#[from] Unreadable),
    /// The store cannot write.
    #[error("store did not take the change")]
    Commit(#[from] CommitError),
}

/// Sets receipts of a user in a room, all at once; gives those of them that others may know of. Those that would go back are
/// left out.
///
/// # Errors
/// [`ReceiptError`]; nothing was set.
pub(crate) async fn set_receipts(
    (store, rooms): (&Store, &Rooms),
    actor: &Actor,
    room_id: &RoomId,
    receipts: Vec<NewReceipt>,
    now_ts: i64,
) -> Result<Vec<PublicReceipt>, ReceiptError> {
    let reader = rooms.reader()?;
    let snapshot = reader.snapshot();
    let room = reader.joined_room(actor.user, room_id).await?.ok_or(ReceiptError::NotJoined)?;
    let mut batch = Batch::new();
    let mut public = Vec::new();
    let mut changed = false;
    for receipt in receipts {
        let as_public = receipt.as_public(now_ts);
        if set_one(snapshot, &mut batch, (room, None, actor.user), receipt, now_ts).await? {
            changed = true;
            public.extend(as_public);
        }
    }
    if !changed {
        return Ok(public);
    }
    batch.touch(room);
    batch.wake(actor.user);
    if !public.is_empty() {
        reader.local_joined(room).await?.into_iter().for_each(|user| batch.wake(user));
    }
    store.commit(batch).await?;
    Ok(public)
}

/// Adds a receipt to a batch; `false` if it would go back.
pub(crate) async fn set_one(
    snapshot: &Snapshot,
    batch: &mut Batch,
    (room, told, user): (RoomNumber, Told, UserNumber),
    receipt: NewReceipt,
    ts: i64,
) -> Result<bool, ReceiptError> {
    let index = timeline_index(snapshot, room, &receipt.event_id)
        .await?
        .ok_or_else(|| ReceiptError::UnknownEvent(receipt.event_id.clone()))?;
    check_thread(snapshot, room, receipt.thread.as_deref()).await?;
    let key = (room, told, user, receipt.kind, receipt.thread);
    let old = snapshot.get(&RECEIPTS, &key).await?;
    if old.as_ref().is_some_and(|old| old.index >= index) {
        return Ok(false);
    }
    batch.expect_unchanged(&RECEIPTS, &key, old.as_ref());
    if let Some(old) = old {
        let (room, told, user, kind, thread) = key.clone();
        batch.delete(&RECEIPT_CHANGES, &(room, told, old.since, user, kind, thread));
    }
    batch.at_position(move |since, writes| {
        writes.put(&RECEIPTS, &key, &ReceiptRow { event_id: receipt.event_id, index, ts, since });
        let (room, told, user, kind, thread) = key;
        writes.put(&RECEIPT_CHANGES, &(room, told, since, user, kind, thread), &());
    });
    Ok(true)
}

async fn check_thread(
    snapshot: &Snapshot,
    room: RoomNumber,
    thread: Option<&str>,
) -> Result<(), ReceiptError> {
    let Some(thread) = thread.filter(|thread| *thread != "main") else { return Ok(()) };
    let root = EventId::parse(thread).map_err(|_| ReceiptError::InvalidThread)?;
    timeline_index(snapshot, room, &root).await?.map(|_| ()).ok_or(ReceiptError::InvalidThread)
}

async fn timeline_index(
    snapshot: &Snapshot,
    room: RoomNumber,
    event_id: &EventId,
) -> Result<Option<TimelineIndex>, ReadError> {
    let Some(event) = snapshot.get(&EVENT_NUMBERS, &event_id.to_owned()).await? else { return Ok(None) };
    let row = snapshot.get(&EVENTS, &event).await?;
    Ok(row.filter(|row| row.room == room).and_then(|row| row.timeline))
}

/// A receipt as it is kept.
pub(crate) type Kept = (UserNumber, ReceiptKind, Option<String>, ReceiptRow);

/// The receipts of a room that a sync is about.
pub(crate) struct RoomReceipts {
    /// The user's.
    pub(crate) own: Vec<Kept>,
    /// Everybody's that are new.
    pub(crate) news: Vec<Kept>,
}

impl RoomReceipts {
    /// Reads those of a user, and everybody's that the user is told of and that were set after `since` and up to `to`; without `since`,
    /// all, from which the user's are then taken.
    pub(crate) async fn read(
        snapshot: &Snapshot,
        (room, actor): (RoomNumber, &Actor),
        since: Option<Position>,
        to: Position,
    ) -> Result<Self, ReadError> {
        let (mut news, user) = (Vec::new(), actor.user);
        for told in [None, Some(actor.tenant.number())] {
            news.extend(match since {
                None => receipts_of(snapshot, &(room, told)).await?,
                Some(since) => receipts_between(snapshot, (room, told), since, to).await?,
            });
        }
        let own = match since {
            None if news.len() < RECEIPTS_MAX => {
                news.iter().filter(|(whose, ..)| *whose == user).cloned().collect()
            }
            _ => receipts_of(snapshot, &(room, None::<TenantNumber>, user)).await?,
        };
        Ok(RoomReceipts { own, news })
    }
}

/// Receipts of which the keys begin so.
async fn receipts_of(snapshot: &Snapshot, prefix: &impl Key) -> Result<Vec<Kept>, ReadError> {
    let rows = snapshot.scan_prefix(&RECEIPTS, prefix, Order::Ascending, RECEIPTS_MAX).await?;
    Ok(rows.into_iter().map(|((_, _, user, kind, thread), row)| (user, kind, thread, row)).collect())
}

/// `m.receipt` events, one for each thread, with what a user may see of some receipts. Users of whom the viewer is not
/// told are left out.
pub(crate) async fn receipt_events(
    snapshot: &Snapshot,
    viewer: UserNumber,
    mut receipts: Vec<Kept>,
    is_told: impl Fn(&UserId) -> bool,
) -> Result<Vec<EventJson>, ReadError> {
    receipts.retain(|(user, kind, ..)| *kind == ReceiptKind::Read || *user == viewer);
    let users: Vec<UserNumber> = receipts.iter().map(|(user, ..)| *user).collect();
    let ids = snapshot.get_many(&USER_IDS, &users).await?;
    let known = receipts.into_iter().zip(ids);
    Ok(events_of(known.filter(|(_, user)| user.as_deref().is_none_or(&is_told))))
}

async fn receipts_between(
    snapshot: &Snapshot,
    (room, told): (RoomNumber, Told),
    since: Position,
    to: Position,
) -> Result<Vec<Kept>, ReadError> {
    let after = |position: Position| (room, told, Position(position.0.saturating_add(1)));
    let range = (&after(since), &after(to));
    let changes = snapshot.scan_range(&RECEIPT_CHANGES, range, Order::Ascending, RECEIPTS_MAX).await?;
    let changed = changes.into_iter().map(|(change, ())| change);
    let keys: Vec<_> = changed.map(|(.., user, kind, thread)| (room, told, user, kind, thread)).collect();
    let rows = snapshot.get_many(&RECEIPTS, &keys).await?;
    let kept = keys.into_iter().zip(rows);
    Ok(kept.filter_map(|((_, _, user, kind, thread), row)| Some((user, kind, thread, row?))).collect())
}

type ByUser = BTreeMap<OwnedUserId, Value>;
type Content = BTreeMap<OwnedEventId, BTreeMap<&'static str, ByUser>>;

/// A user can have receipts of several threads on one event, so each thread has an event of its own.
fn events_of(receipts: impl Iterator<Item = (Kept, Option<OwnedUserId>)>) -> Vec<EventJson> {
    let mut threads: BTreeMap<Option<String>, Content> = BTreeMap::new();
    for ((_, kind, thread, row), user_id) in receipts {
        let receipt = match &thread {
            None => json!({ "ts": row.ts }),
            Some(thread) => json!({ "ts": row.ts, "thread_id": thread }),
        };
        if let Some(user_id) = user_id {
            let content = threads.entry(thread).or_default();
            content
                .entry(row.event_id)
                .or_default()
                .entry(kind_name(kind))
                .or_default()
                .insert(user_id, receipt);
        }
    }
    let events = threads.into_values().map(|content| json!({ "type": "m.receipt", "content": content }));
    events.filter_map(|event| to_raw_value(&event).ok()).collect()
}

const fn kind_name(kind: ReceiptKind) -> &'static str {
    match kind {
        ReceiptKind::Read => "m.read",
        ReceiptKind::ReadPrivate => "m.read.private",
    }
}
