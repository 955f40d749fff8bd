//! Events of others that come while only a few members of their room are known.
//!
//! Whether they are allowed depends on members who may not be known, so they are neither accepted nor refused: they are kept as
//! they came, durably, and go the one way in once all members are known. Who brought them need not bring them again.

use std::collections::BTreeSet;

use freehold_signing::SignedPdu;
use freehold_store::tables::rooms::{HELD, HELD_EVENTS, HeldEventRow, HeldRow, PARTIAL_ROOMS};
use freehold_store::{Batch, Order, RoomNumber, Snapshot};
use ruma_common::{OwnedEventId, OwnedServerName, ServerName};

use crate::error::ActionError;
use crate::limits::{
    HELD_BYTES_IN_ALL_MAX, HELD_BYTES_MAX, HELD_EVENTS_IN_ALL_MAX, HELD_EVENTS_MAX, HELD_TURNED_AWAY_MAX,
};
use crate::read::{Reader, Unreadable};
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::Work;

/// Whether an event that cannot be judged yet is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is.
    Held,
    /// It is not, because too much is held of its room already, or of all rooms.
    Full,
}

/// An event that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldEvent {
    key: (RoomNumber, i64, OwnedEventId),
    /// The server that brought it, which may speak in the room.
    pub origin: OwnedServerName,
    /// The event in federation format, as canonical JSON.
    pub json: String,
}

impl Rooms {
    /// Holds events of a room that a server brought and that passed checks 1 to 3, until all members of the room are known; what
    /// came of each is in their order. `None` if all members are known: nothing is held then.
    ///
    /// # Errors
    /// Those of the store; none is held.
    pub async fn hold(
        &self,
        room: RoomNumber,
        origin: &ServerName,
        events: &[SignedPdu],
    ) -> Result<Option<Vec<Hold>>, ActionError> {
        tried!(self.try_hold(room, origin, events))
    }

    async fn try_hold(
        &self,
        room: RoomNumber,
        origin: &ServerName,
        events: &[SignedPdu],
    ) -> Result<Option<Vec<Hold>>, ActionError> {
        let cell = self.cell(room);
        let _turn = cell.lock().await;
        let snapshot = self.0.store.snapshot()?;
        if snapshot.get(&PARTIAL_ROOMS, &room).await?.is_none() {
            return Ok(None);
        }
        let before = snapshot.get(&HELD, &room).await?;
        let elsewhere = held_elsewhere(&snapshot, room).await?;
        let key = |event: &SignedPdu| (room, event.pdu().depth(), event.pdu().event_id().to_owned());
        let keys: Vec<_> = events.iter().map(key).collect();
        let rows = snapshot.get_many(&HELD_EVENTS, &keys).await?;
        // Whoever waits for the commit wants to read what it writes.
        drop(snapshot);
        let mut batch = Batch::new();
        let (mut held, mut here) = (before.clone().unwrap_or_default(), BTreeSet::new());
        let mut holds = Vec::with_capacity(events.len());
        for ((event, key), row) in events.iter().zip(keys).zip(rows) {
            let event = event.pdu().canonical_json().to_owned();
            holds.push(match row.is_some() || here.contains(&key) {
                true => Hold::Held,
                false if takes(&mut held, &elsewhere, &event) => {
                    let row = HeldEventRow { origin: origin.to_owned(), event };
                    batch.put(&HELD_EVENTS, &key, &row);
                    here.insert(key);
                    Hold::Held
                }
                false => {
                    turn_away(&mut held, origin);
                    Hold::Full
                }
            });
        }
        if held != before.clone().unwrap_or_default() {
            batch.expect_present(&PARTIAL_ROOMS, &room);
            batch.expect_unchanged(&HELD, &room, before.as_ref());
            batch.put(&HELD, &room, &held);
            self.0.store.commit(batch).await?;
        }
        Ok(Some(holds))
    }

    /// Up to `limit` events that are held of a room, after one of them; in their order, which has each after those that it follows.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn held(
        &self,
        room: RoomNumber,
        after: Option<&HeldEvent>,
        limit: usize,
    ) -> Result<Vec<HeldEvent>, ActionError> {
        let snapshot = self.0.store.snapshot()?;
        let rows = match after {
            Some(after) => snapshot.scan_after(&HELD_EVENTS, Some(&after.key), limit).await?,
            None => snapshot.scan_prefix(&HELD_EVENTS, &(room,), Order::Ascending, limit).await?,
        };
        let rows = rows.into_iter().filter(|(key, _)| key.0 == room);
        Ok(rows.map(|(key, row)| HeldEvent { key, origin: row.origin, json: row.event }).collect())
    }

    /// Holds some events of a room no longer: something was said of them.
    ///
    /// # Errors
    /// Those of the store; all are still held.
    pub async fn release(&self, room: RoomNumber, events: &[HeldEvent]) -> Result<(), ActionError> {
        if events.is_empty() { Ok(()) } else { tried!(self.try_release(room, events)) }
    }

    async fn try_release(&self, room: RoomNumber, events: &[HeldEvent]) -> Result<(), ActionError> {
        let cell = self.cell(room);
        let _turn = cell.lock().await;
        let snapshot = self.0.store.snapshot()?;
        let Some(before) = snapshot.get(&HELD, &room).await? else { return Ok(()) };
        let keys: Vec<_> = events.iter().map(|event| event.key.clone()).collect();
        let rows = snapshot.get_many(&HELD_EVENTS, &keys).await?;
        drop(snapshot);
        let (mut batch, mut held) = (Batch::new(), before.clone());
        for (key, row) in keys.into_iter().zip(rows) {
            let Some(row) = row else { continue };
            held.events = held.events.saturating_sub(1);
            held.bytes = held.bytes.saturating_sub(row.event.len() as u64);
            batch.delete(&HELD_EVENTS, &key);
        }
        batch.expect_unchanged(&HELD, &room, Some(&before));
        batch.put(&HELD, &room, &held);
        self.0.store.commit(batch).await?;
        Ok(())
    }

    /// Whoever was turned away has been asked: if nothing is held of a room any more, there is nothing left to be seen to.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end_hold(&self, room: RoomNumber) -> Result<(), ActionError> {
        tried!(self.try_end_hold(room))
    }

    async fn try_end_hold(&self, room: RoomNumber) -> Result<(), ActionError> {
        let cell = self.cell(room);
        let _turn = cell.lock().await;
        let held = self.0.store.snapshot()?.get(&HELD, &room).await?;
        if let Some(held) = held.filter(|held| held.events == 0) {
            let mut batch = Batch::new();
            batch.expect_unchanged(&HELD, &room, Some(&held));
            batch.delete(&HELD, &room);
            self.0.store.commit(batch).await?;
        }
        Ok(())
    }
}

/// How much is held of all other rooms.
async fn held_elsewhere(snapshot: &Snapshot, room: RoomNumber) -> Result<HeldRow, ActionError> {
    let rows = snapshot.scan_prefix(&HELD, &(), Order::Ascending, usize::MAX).await?;
    let mut elsewhere = HeldRow::default();
    for (_, held) in rows.iter().filter(|(other, _)| *other != room) {
        elsewhere.events = elsewhere.events.saturating_add(held.events);
        elsewhere.bytes = elsewhere.bytes.saturating_add(held.bytes);
    }
    Ok(elsewhere)
}

/// Counts an event, if there is room for it.
fn takes(held: &mut HeldRow, elsewhere: &HeldRow, event: &str) -> bool {
    let bytes = held.bytes.saturating_add(event.len() as u64);
    let fits = held.events < HELD_EVENTS_MAX
        && bytes <= HELD_BYTES_MAX
        && held.events.saturating_add(elsewhere.events) < HELD_EVENTS_IN_ALL_MAX
        && bytes.saturating_add(elsewhere.bytes) <= HELD_BYTES_IN_ALL_MAX;
    if fits {
        held.events += 1;
        held.bytes = bytes;
    }
    fits
}

fn turn_away(held: &mut HeldRow, origin: &ServerName) {
    let place = held.turned_away.binary_search_by(|server| server.as_str().cmp(origin.as_str()));
    if let Err(place) = place
        && held.turned_away.len() < HELD_TURNED_AWAY_MAX
    {
        held.turned_away.insert(place, origin.to_owned());
    }
}

impl Work {
    /// What was held of the room is of a time about which nobody here asks any more: everybody had left it.
    pub(super) async fn drop_held(&mut self) -> Result<(), ActionError> {
        let Some(held) = self.snapshot.get(&HELD, &self.number).await? else { return Ok(()) };
        let rows =
            self.snapshot.scan_prefix(&HELD_EVENTS, &(self.number,), Order::Ascending, usize::MAX).await?;
        for (key, _) in rows {
            self.batch.delete(&HELD_EVENTS, &key);
        }
        self.batch.expect_unchanged(&HELD, &self.number, Some(&held));
        self.batch.delete(&HELD, &self.number);
        Ok(())
    }
}

impl Reader {
    /// How much is held of a room; `None` if nothing is, and nothing is left to be seen to.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn held_of(&self, room: RoomNumber) -> Result<Option<HeldRow>, Unreadable> {
        Ok(self.snapshot.get(&HELD, &room).await?)
    }

    /// The rooms of which something is held: mostly there is none.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn rooms_held_of(&self) -> Result<Vec<RoomNumber>, Unreadable> {
        let rows = self.snapshot.scan_prefix(&HELD, &(), Order::Ascending, usize::MAX).await?;
        Ok(rows.into_iter().map(|(room, _)| room).collect())
    }
}
