//! Whether everything in a store can be read, identifiers and numbers belong to each other one to one, and what rows
//! refer to is there.
//!
//! What rows mean to each other beyond that is checked by those who write them.

mod references;
mod targets;

pub use references::check_references;

use crate::interner::{Identifier, Numbered};
use crate::key::Key;
use crate::number::{EventNumber, RoomNumber, StateKeyNumber, UserNumber};
use crate::store::{ReadError, Snapshot};
use crate::table::{AnyTable, RowDamage, TableId};
use crate::tables::ALL;

/// How many rows are read at a time.
const PAGE: usize = 500;

/// How many findings are listed for each table; the others are counted.
const LISTED: usize = 20;

/// What was found in one table.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TableReport {
    /// The name of the table; empty for one that this software does not know.
    pub name: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes its keys and rows have.
    pub bytes: u64,
    /// How many rows are damaged.
    pub damaged: u64,
    /// The first of them: the key, and what is wrong.
    pub findings: Vec<(Vec<u8>, Finding)>,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// It cannot be read.
    #[error(transparent)]
    Damage(#[from] RowDamage),
    /// This software knows no table of that number.
    #[error("no table has this number")]
    UnknownTable,
    /// The number of an identifier does not lead back to it, or an identifier not back to its number.
    #[error("identifier and number do not belong to each other")]
    NotInjective,
    /// It refers to a row that is not there.
    #[error("refers to a row that is not in `{table}`")]
    Dangling {
        /// The name of the other table.
        table: &'static str,
    },
    /// It is not under the key under which its content belongs.
    #[error("{0}")]
    Misfiled(&'static str),
}

/// Which room and which event the row of a key is about, as far as the key says it.
pub fn about(table: &str, key: &[u8]) -> (Option<RoomNumber>, Option<EventNumber>) {
    const ROOM_FIRST: [&str; 15] = [
        "rooms",
        "timeline",
        "current_state",
        "local_members",
        "room_aliases",
        "state_history",
        "receipts",
        "receipt_changes",
        "room_ids",
        "room_servers",
        "missing_prevs",
        "member_changes",
        "partial_rooms",
        "held_events",
        "held",
    ];
    const EVENT_FIRST: [&str; 4] = ["events", "event_json", "relations", "event_ids"];
    let mut rest = key;
    match table {
        table if ROOM_FIRST.contains(&table) => (RoomNumber::decode(&mut rest).ok(), None),
        table if EVENT_FIRST.contains(&table) => (None, EventNumber::decode(&mut rest).ok()),
        "memberships" => {
            let user = UserNumber::decode(&mut rest);
            (user.and_then(|_| RoomNumber::decode(&mut rest)).ok(), None)
        }
        "sent" => {
            let device = crate::number::DeviceNumber::decode(&mut rest);
            (device.and_then(|_| RoomNumber::decode(&mut rest)).ok(), None)
        }
        _ => (None, None),
    }
}

impl TableReport {
    fn add(&mut self, key: Vec<u8>, finding: Finding) {
        self.damaged += 1;
        if self.findings.len() < LISTED {
            self.findings.push((key, finding));
        }
    }
}

/// Reads every row of every table.
///
/// # Errors
/// [`ReadError`] when the engine fails; damaged rows are findings.
pub async fn check_rows(snapshot: &Snapshot) -> Result<Vec<TableReport>, ReadError> {
    let mut reports = Vec::new();
    for number in 0..TableId::ENGINE.0 {
        let report = check_table(snapshot, TableId(number)).await?;
        if report.rows > 0 {
            reports.push(report);
        }
    }
    Ok(reports)
}

async fn check_table(snapshot: &Snapshot, id: TableId) -> Result<TableReport, ReadError> {
    let table: Option<&AnyTable> = ALL.iter().find(|table| table.id == id);
    let mut report = TableReport { name: table.map_or("", |table| table.name), ..TableReport::default() };
    let mut start = Vec::new();
    loop {
        let rows = snapshot.scan_bytes(id, start, PAGE).await?;
        let Some((last, _)) = rows.last() else { return Ok(report) };
        start = after(last);
        for (key, row) in rows {
            report.rows += 1;
            report.bytes += (key.len() + row.len()) as u64;
            let finding = match table {
                Some(table) => table.check(&key, &row).err().map(Finding::Damage),
                None => Some(Finding::UnknownTable),
            };
            finding.into_iter().for_each(|finding| report.add(key.clone(), finding));
        }
    }
}

/// Looks whether identifiers and their numbers lead to each other, in both directions.
///
/// # Errors
/// [`ReadError`], also for a row that [`check_rows`] would report.
pub async fn check_numbers(snapshot: &Snapshot) -> Result<Vec<TableReport>, ReadError> {
    Ok(vec![
        check_kind::<UserNumber>(snapshot).await?,
        check_kind::<RoomNumber>(snapshot).await?,
        check_kind::<EventNumber>(snapshot).await?,
        check_kind::<StateKeyNumber>(snapshot).await?,
    ])
}

async fn check_kind<N: Numbered + PartialEq>(snapshot: &Snapshot) -> Result<TableReport, ReadError> {
    let (numbers, ids) = (N::Id::NUMBERS, N::Id::IDS);
    let mut report = TableReport { name: numbers.name, ..TableReport::default() };
    let mut start = Vec::new();
    loop {
        let rows = snapshot.scan_bytes(ids.id, start, PAGE).await?;
        let Some((last, _)) = rows.last() else { break };
        start = after(last);
        for (key, row) in rows {
            report.rows += 1;
            report.bytes += (key.len() + row.len()) as u64;
            let (number, id) = read::<N>(&ids, &key, &row)?;
            if snapshot.number_of(&id).await? != Some(number) {
                report.add(key, Finding::NotInjective);
            }
        }
    }
    // Every number leads to an identifier that leads back; so there may be no more identifiers than numbers.
    let identifiers = check_table(snapshot, numbers.id).await?.rows;
    if identifiers != report.rows {
        report.add(Vec::new(), Finding::NotInjective);
    }
    Ok(report)
}

fn read<N: Numbered>(
    table: &crate::table::Table<N, N::Id>,
    key: &[u8],
    row: &[u8],
) -> Result<(N, N::Id), ReadError> {
    let number = crate::key::decoded(key).map_err(|source| ReadError::Key { table: table.name, source })?;
    let id = crate::value::decoded(row).map_err(|source| ReadError::Row { table: table.name, source })?;
    Ok((number, id))
}

/// The least key after this one.
pub(crate) fn after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}
