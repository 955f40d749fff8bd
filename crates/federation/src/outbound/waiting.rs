//! For whom something waits in tables.

use freehold_store::tables::outbound::{
    LAST_MISSED, OUTGOING_DEVICE_LISTS, OUTGOING_MESSAGES, OUTGOING_SIGNING_KEYS,
};
use freehold_store::{Position, ReadError, RoomNumber, Snapshot, Table, UserNumber, Value};

use super::state::Key;

/// For whom messages wait.
pub(super) async fn messages_wait_for(snapshot: &Snapshot) -> Result<Vec<Key>, ReadError> {
    let last = |(tenant, server): Key| (tenant, server, Position(u64::MAX), u16::MAX);
    pairs(snapshot, &OUTGOING_MESSAGES, |(tenant, server, ..)| (tenant, server), last).await
}

/// For whom device lists or signing keys wait.
pub(super) async fn lists_wait_for(snapshot: &Snapshot) -> Result<Vec<Key>, ReadError> {
    let mut found = Vec::new();
    for table in [&OUTGOING_DEVICE_LISTS, &OUTGOING_SIGNING_KEYS] {
        let last = |(tenant, server): Key| (tenant, server, UserNumber(u64::MAX));
        found.extend(pairs(snapshot, table, |(tenant, server, _)| (tenant, server), last).await?);
    }
    Ok(found)
}

/// For whom last events of rooms wait.
pub(super) async fn missed_by(snapshot: &Snapshot) -> Result<Vec<Key>, ReadError> {
    let last = |(tenant, server): Key| (tenant, server, RoomNumber(u64::MAX));
    pairs(snapshot, &LAST_MISSED, |(tenant, server, _)| (tenant, server), last).await
}

/// The tenants and servers that have rows: one read for each. `last` is the last place that such a pair may have.
async fn pairs<K: freehold_store::Key, V: Value>(
    snapshot: &Snapshot,
    table: &Table<K, V>,
    pair: impl Fn(K) -> Key,
    last: impl Fn(Key) -> K,
) -> Result<Vec<Key>, ReadError> {
    let mut found: Vec<Key> = Vec::new();
    loop {
        let after = found.last().cloned().map(&last);
        let next = snapshot.scan_after(table, after.as_ref(), 1).await?;
        let Some((key, _)) = next.into_iter().next() else { return Ok(found) };
        found.push(pair(key));
    }
}
