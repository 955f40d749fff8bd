//! Batches: conditions and changes that take effect together.

use std::fmt;

use ruma_common::OwnedServerName;

use crate::engine::{Bytes, Check, Expected, Operation};
use crate::key::{Key, encoded};
use crate::number::{Position, RoomNumber, TenantNumber, UserNumber};
use crate::table::{Table, TableId};
use crate::value::{self, Value};

/// Changes of tables, in order; a later change of a key wins.
#[derive(Debug, Default)]
pub struct Writes {
    operations: Vec<Operation>,
}

impl Writes {
    /// Sets the row of a key.
    pub fn put<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K, row: &V) {
        self.operations.push(Operation::Put {
            table: table.id,
            key: encoded(key),
            value: value::encoded(row),
        });
    }

    /// Removes the row of a key, if there is one.
    pub fn delete<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K) {
        self.operations.push(Operation::Delete { table: table.id, key: encoded(key) });
    }

    /// The changes.
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations
    }
}

type Positioned = Box<dyn FnOnce(Position, &mut Writes) + Send + Sync>;

/// What is called when a batch is durable.
pub(crate) type Announcement = Box<dyn FnOnce(Position) + Send + Sync>;

/// Conditions and changes that take effect together or not at all, and whom they concern.
#[derive(Default)]
pub struct Batch {
    checks: Vec<Check>,
    writes: Writes,
    positioned: Vec<Positioned>,
    announcements: Vec<Announcement>,
    /// The least position that the batch may get.
    least: Position,
    wakes: Vec<UserNumber>,
    rooms: Vec<RoomNumber>,
    senders: Vec<TenantNumber>,
    messages: Vec<(TenantNumber, OwnedServerName)>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Batch::default()
    }

    /// The batch takes effect only if the key has no row.
    pub fn expect_absent<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K) {
        self.expect(table.id, encoded(key), Expected::Absent);
    }

    /// The batch takes effect only if the key has a row.
    pub fn expect_present<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K) {
        self.expect(table.id, encoded(key), Expected::Present);
    }

    /// The batch takes effect only if the key has this row, or none if `row` is `None`: what was read is still so.
    pub fn expect_unchanged<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K, row: Option<&V>) {
        let expected = row.map_or(Expected::Absent, |row| Expected::Equal(value::encoded(row)));
        self.expect(table.id, encoded(key), expected);
    }

    /// The batch takes effect only if the key has no row or this one.
    pub fn expect_absent_or<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K, row: &V) {
        self.expect(table.id, encoded(key), Expected::AbsentOrEqual(value::encoded(row)));
    }

    pub(crate) fn expect(&mut self, table: TableId, key: Bytes, expected: Expected) {
        self.checks.push(Check { table, key, expected });
    }

    /// Sets the row of a key.
    pub fn put<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K, row: &V) {
        self.writes.put(table, key, row);
    }

    /// Removes the row of a key, if there is one.
    pub fn delete<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K) {
        self.writes.delete(table, key);
    }

    /// Adds changes that need the position which the batch gets when it takes effect. They follow the others.
    pub fn at_position(&mut self, write: impl FnOnce(Position, &mut Writes) + Send + Sync + 'static) {
        self.positioned.push(Box::new(write));
    }

    /// Names a user whom the batch concerns: who waits for that user wakes when it is durable.
    pub fn wake(&mut self, user: UserNumber) {
        self.wakes.push(user);
    }

    /// Names a room in which the batch changes something that a sync shows: events, receipts.
    pub fn touch(&mut self, room: RoomNumber) {
        self.rooms.push(room);
    }

    /// Names a tenant who has events for the servers in their rooms in the batch: who sends them wakes when it is durable.
    pub fn send_events(&mut self, tenant: TenantNumber) {
        self.senders.push(tenant);
    }

    /// Names a server for which a tenant has something in the batch.
    pub fn send_to(&mut self, tenant: TenantNumber, server: OwnedServerName) {
        self.messages.push((tenant, server));
    }

    /// For whom something is put out to be sent.
    pub(crate) fn take_outgoing(&mut self) -> (Vec<TenantNumber>, Vec<(TenantNumber, OwnedServerName)>) {
        (std::mem::take(&mut self.senders), std::mem::take(&mut self.messages))
    }

    /// Makes the batch's position at least this one: what is restored goes on where it was.
    pub(crate) fn raise_to(&mut self, position: Position) {
        self.least = position;
    }

    /// The position that the batch gets after `last`.
    pub(crate) fn position_after(&self, last: Position) -> Position {
        Position(self.least.0.max(last.0 + 1))
    }

    /// Sets a row of any table, as bytes.
    pub(crate) fn put_bytes(&mut self, table: TableId, key: Bytes, value: Bytes) {
        self.writes.operations.push(Operation::Put { table, key, value });
    }

    /// Removes a row of any table.
    pub(crate) fn delete_bytes(&mut self, table: TableId, key: Bytes) {
        self.writes.operations.push(Operation::Delete { table, key });
    }

    /// Adds a call for the moment when the batch is durable and snapshots show it. It is made even if nobody waits for
    /// the commit any more, and not at all if the batch has no effect.
    pub fn once_durable(&mut self, announce: impl FnOnce(Position) + Send + Sync + 'static) {
        self.announcements.push(Box::new(announce));
    }

    pub(crate) fn take_announcements(&mut self) -> Vec<Announcement> {
        std::mem::take(&mut self.announcements)
    }

    /// Adds another batch to this one: its conditions, changes and users.
    pub fn append(&mut self, other: Batch) {
        self.checks.extend(other.checks);
        self.writes.operations.extend(other.writes.operations);
        self.positioned.extend(other.positioned);
        self.announcements.extend(other.announcements);
        self.least = self.least.max(other.least);
        self.wakes.extend(other.wakes);
        self.rooms.extend(other.rooms);
        self.senders.extend(other.senders);
        self.messages.extend(other.messages);
    }

    /// Whom it concerns.
    pub fn concerns(&self) -> &[UserNumber] {
        &self.wakes
    }

    /// The rooms in which it changes something.
    pub fn touched(&self) -> &[RoomNumber] {
        &self.rooms
    }

    /// How many bytes its changes have, apart from those that wait for the position.
    pub fn bytes(&self) -> usize {
        self.writes.operations.iter().map(Operation::bytes).sum()
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.operations.is_empty() && self.positioned.is_empty()
    }

    /// Its conditions.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Its changes, at the position that an engine gives it.
    pub fn into_operations(self, position: Position) -> Vec<Operation> {
        let mut writes = self.writes;
        for write in self.positioned {
            write(position, &mut writes);
        }
        writes.into_operations()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("checks", &self.checks)
            .field("writes", &self.writes)
            .field("positioned", &self.positioned.len())
            .field("wakes", &self.wakes)
            .field("rooms", &self.rooms)
            .finish()
    }
}
