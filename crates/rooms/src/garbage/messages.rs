//! Messages that nobody here keeps any longer: what a redaction would take goes from the store.
//!
//! A room is stored once. A message goes when the last of the tenants with users in the room keeps it no longer; what is left is
//! what a redaction leaves, so that the graph of events, its hashes and its signatures stay what they are, and other servers can
//! still be given the event. State and redactions stay: without the one there is no room, and without the other no server
//! would redact what it was asked to.

use std::collections::BTreeMap;

use freehold_store::tables::rooms::{
    EVENT_JSON, EVENTS, EventRow, FORGOTTEN, LOCAL_MEMBERS, MEMBERSHIPS, Membership, UNERASED,
};
use freehold_store::{
    Batch, CommitError, EventNumber, Order, ReadError, RoomNumber, TenantNumber, UserNumber,
};

use crate::error::ActionError;
use crate::loaded::parse;
use crate::policy::{Retention, kept_from_ts};
use crate::read::Reader;
use crate::relations::unrelate;
use crate::rooms::Rooms;

/// How many rows a step looks at.
const PAGE: usize = 256;
/// For how many rooms is remembered how long their messages are kept.
const REMEMBERED: usize = 4_096;
/// How many users of a tenant are looked at who left a room; of more, one may want to read it.
const LEFT_MAX: usize = 64;

/// A round over all events that were received, in the order in which they came.
#[derive(Debug)]
pub struct MessageGarbage {
    rooms: Rooms,
    after: Option<EventNumber>,
    /// From when on the messages of rooms are kept, in milliseconds since the Unix epoch.
    kept_from: BTreeMap<RoomNumber, i64>,
}

impl Rooms {
    /// Begins a round that takes the contents of messages that nobody here keeps any longer.
    pub fn message_garbage(&self) -> MessageGarbage {
        MessageGarbage { rooms: self.clone(), after: None, kept_from: BTreeMap::new() }
    }

    /// Takes what was forgotten from the files of the store, too. `false` when it may still be there; then this is to be asked again.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn erase_forgotten(&self) -> Result<bool, ActionError> {
        let Some(since) = self.0.store.snapshot()?.get(&UNERASED, &()).await? else { return Ok(true) };
        if !self.0.store.erase_overwritten().await.map_err(ReadError::from)? {
            return Ok(false);
        }
        let mut batch = Batch::new();
        batch.expect_unchanged(&UNERASED, &(), Some(&since));
        batch.delete(&UNERASED, &());
        match self.0.store.commit(batch).await {
            Ok(_) => Ok(true),
            // More was forgotten meanwhile.
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl MessageGarbage {
    /// What tenants and rooms say of retention is read anew from here on.
    pub fn refresh(&mut self) {
        self.kept_from.clear();
    }

    /// Looks at some hundred events; gives how many messages were forgotten, and `None` at the end of the round. Without a tenant that
    /// forgets anything, the round is at its end at once.
    ///
    /// # Errors
    /// Those of the store; the next step goes on after the events that could not be looked at.
    pub async fn step(&mut self) -> Result<Option<usize>, ActionError> {
        if !self.rooms.0.outside.identities.some_forget() {
            return Ok(None);
        }
        let reader = self.rooms.reader()?;
        let page = reader.snapshot.scan_after(&EVENTS, self.after.as_ref(), PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        self.after = Some(*last);
        let mut old = Vec::new();
        for (number, row) in page.into_iter().filter(|(_, row)| row.state_key.is_none()) {
            if row.origin_server_ts < self.kept_from_ts(&reader, row.room).await? {
                old.push((number, row));
            }
        }
        Ok(Some(self.rooms.forget_messages(&reader, old).await?))
    }

    async fn kept_from_ts(&mut self, reader: &Reader, room: RoomNumber) -> Result<i64, ActionError> {
        if let Some(kept_from_ts) = self.kept_from.get(&room) {
            return Ok(*kept_from_ts);
        }
        if self.kept_from.len() >= REMEMBERED {
            self.kept_from.clear();
        }
        let kept_from_ts = kept_from_ts(reader.kept_ms(room).await?, self.rooms.now_ts());
        self.kept_from.insert(room, kept_from_ts);
        Ok(kept_from_ts)
    }
}

impl Rooms {
    /// Forgets those of some old messages that are here whole.
    async fn forget_messages(
        &self,
        reader: &Reader,
        old: Vec<(EventNumber, EventRow)>,
    ) -> Result<usize, ActionError> {
        let numbers: Vec<EventNumber> = old.iter().map(|(number, _)| *number).collect();
        let known = reader.snapshot.get_many(&FORGOTTEN, &numbers).await?;
        let mut batch = Batch::new();
        let mut forgotten = Vec::new();
        for (number, row) in
            old.into_iter().zip(known).filter(|(_, known)| known.is_none()).map(|(old, _)| old)
        {
            if forget(reader, (number, &row), &mut batch).await? {
                forgotten.push(number);
            }
        }
        if batch.is_empty() {
            return Ok(0);
        }
        batch.put(&UNERASED, &(), &self.now_ts());
        let (rooms, changed) = (self.clone(), forgotten.clone());
        batch.once_durable(move |position| rooms.0.caches.changed(position, &changed));
        match self.0.store.commit(batch).await {
            Ok(_) => Ok(forgotten.len()),
            // Somebody changed one of them, such as by redacting it: they come again in the next round.
            Err(CommitError::Conflict { .. }) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// Adds to `batch` that a message is forgotten; `false` if there was nothing to take from it.
async fn forget(
    reader: &Reader,
    (number, row): (EventNumber, &EventRow),
    batch: &mut Batch,
) -> Result<bool, ActionError> {
    let Some(text) = reader.snapshot.get(&EVENT_JSON, &number).await? else { return Ok(false) };
    let Some(room) = reader.room(row.room).await? else { return Ok(false) };
    let pdu = parse(&text, room.version)?;
    batch.expect_unchanged(&EVENTS, &number, Some(row));
    batch.put(&FORGOTTEN, &number, &());
    let rest = pdu.redacted();
    if pdu.event_type() == "m.room.redaction" || rest.canonical_json() == text {
        return Ok(false);
    }
    batch.put(&EVENT_JSON, &number, &rest.canonical_json().to_owned());
    unrelate(&reader.snapshot, batch, (row, &pdu)).await?;
    Ok(true)
}

impl Reader {
    /// For how many milliseconds the messages of a room are kept: the longest that any tenant with users in it wants. `None` for
    /// ever, also for a room in which nobody is.
    async fn kept_ms(&self, room: RoomNumber) -> Result<Option<u64>, ActionError> {
        let identities = &self.rooms.0.outside.identities;
        let mut longest = None;
        let mut from = TenantNumber(0);
        while let Some(tenant) = self.next_tenant(room, from).await? {
            from = TenantNumber(tenant.0.saturating_add(1));
            if !self.may_read(tenant, room).await? {
                continue;
            }
            let Some(retention) = identities.retention(tenant).await else { continue };
            let Some(kept_ms) = self.kept_by(retention, room).await? else { return Ok(None) };
            longest = longest.max(Some(kept_ms));
        }
        Ok(longest)
    }

    async fn kept_by(&self, retention: Retention, room: RoomNumber) -> Result<Option<u64>, ActionError> {
        let lifetime_ms = if retention.follows_rooms { self.lifetime_ms(room).await? } else { None };
        Ok(retention.in_room(lifetime_ms))
    }

    /// The first tenant from a number on whose users have, or had, to do with a room.
    async fn next_tenant(
        &self,
        room: RoomNumber,
        from: TenantNumber,
    ) -> Result<Option<TenantNumber>, ReadError> {
        let range = (&(room, from), &(room, TenantNumber(u32::MAX)));
        let rows = self.snapshot.scan_range(&LOCAL_MEMBERS, range, Order::Ascending, 1).await?;
        Ok(rows.first().map(|((_, tenant, _), _)| *tenant))
    }

    /// Whether a user of a tenant may want to read a room: is in it, invited, knocks, or left it without forgetting it.
    async fn may_read(&self, tenant: TenantNumber, room: RoomNumber) -> Result<bool, ReadError> {
        let rows =
            self.snapshot.scan_prefix(&LOCAL_MEMBERS, &(room, tenant), Order::Ascending, LEFT_MAX).await?;
        let left = |membership: Membership| matches!(membership, Membership::Leave | Membership::Ban);
        if rows.len() == LEFT_MAX || rows.iter().any(|(_, membership)| !left(*membership)) {
            return Ok(true);
        }
        let places: Vec<(UserNumber, RoomNumber)> =
            rows.iter().map(|((.., user), _)| (*user, room)).collect();
        let memberships = self.snapshot.get_many(&MEMBERSHIPS, &places).await?;
        Ok(memberships.into_iter().any(|row| row.is_none_or(|row| !row.forgotten)))
    }
}
