//! Checks of everything that the server keeps.

use std::fmt;

use freehold_media::{Failure, Media};
use freehold_rooms::Rooms;
use freehold_rooms::check::{RoomFinding, RoomsCheck, check_rooms};
use freehold_store::check::{TableReport, about, check_numbers, check_references, check_rows};
use freehold_store::tables::identity::{EVENT_IDS, ROOM_IDS};
use freehold_store::{EventNumber, ReadError, RoomNumber, Snapshot, Store};
use serde::{Deserialize, Serialize};

/// What a check of everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The tables that have rows.
    pub tables: Vec<TableCheck>,
    /// How many rooms were computed anew.
    pub rooms: u64,
    /// How many events were read, hashed and compared.
    pub events: u64,
    /// Of how many events signatures and verdict were looked at anew; `None` if that was not asked for.
    #[serde(default)]
    pub rejudged: Option<u64>,
    /// For how many of them no key is here that could say whether they are signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverified: Option<u64>,
    /// How many files of media were read; `None` if that was not asked for.
    pub media: Option<u64>,
    /// How many things are wrong.
    pub damaged: u64,
    /// The first of them.
    pub findings: Vec<CheckFinding>,
}

/// The size of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCheck {
    /// Its name.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes its keys and rows have.
    pub bytes: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckFinding {
    /// The table.
    pub table: String,
    /// The room, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The event, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The key of the row in hexadecimal, if it is about one row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// What is looked at beside what the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The bytes of all media.
    pub(crate) media: bool,
    /// Signatures and verdicts of all events.
    pub(crate) deep: bool,
}

/// After how many events it is said how far a check has come.
const SAID_EVERY: u64 = 10_000;

/// Reads everything that one snapshot shows, and looks whether it is what follows from the events.
pub(crate) async fn check(
    store: &Store,
    (media, rooms): (&Media, &Rooms),
    extent: Extent,
) -> Result<CheckReport, Failure> {
    let mut check = Check { snapshot: store.snapshot()?, report: CheckReport::default() };
    let rows = check_rows(&check.snapshot).await?;
    check.report.tables = rows.iter().map(TableCheck::from).collect();
    check.tables(&rows).await?;
    let rows_are_readable = check.report.damaged == 0;
    check.tables(&check_references(&check.snapshot).await?).await?;
    if rows_are_readable {
        check.tables(&check_numbers(&check.snapshot).await?).await?;
        check.rooms(rooms, extent).await?;
    } else {
        // They would stop at the first such row.
        check.say("numbers and rooms were not checked, because they need rows that cannot be read");
    }
    if extent.media {
        check.media(media).await?;
    }
    Ok(check.report)
}

struct Check {
    snapshot: Snapshot,
    report: CheckReport,
}

impl Check {
    async fn tables(&mut self, tables: &[TableReport]) -> Result<(), ReadError> {
        for table in tables {
            self.report.damaged += table.damaged;
            for (key, finding) in &table.findings {
                let found = CheckFinding {
                    key: Some(key.iter().map(|byte| format!("{byte:02x}")).collect()),
                    ..self.finding(table.name, about(table.name, key), finding.to_string()).await?
                };
                self.report.findings.push(found);
            }
        }
        Ok(())
    }

    async fn rooms(&mut self, rooms: &Rooms, extent: Extent) -> Result<(), ReadError> {
        let mut next = SAID_EVERY;
        let mut say = |found: &RoomsCheck| {
            if found.events >= next {
                next = found.events.saturating_add(SAID_EVERY);
                tracing::info!(events = found.events, faults = found.faults, "checked so far");
            }
        };
        let found = match extent.deep {
            true => rooms.check_deep(&self.snapshot, &mut say).await?,
            false => check_rooms(&self.snapshot).await?,
        };
        if extent.deep {
            (self.report.rejudged, self.report.unverified) = (Some(found.rejudged), Some(found.unverified));
        }
        (self.report.rooms, self.report.events) = (found.rooms, found.events);
        self.report.damaged += found.faults;
        for RoomFinding { table, room, event, fault } in found.findings {
            let finding = self.finding(table, (Some(room), event), fault.to_string()).await?;
            self.report.findings.push(finding);
        }
        Ok(())
    }

    async fn media(&mut self, media: &Media) -> Result<(), Failure> {
        let found = media.check(&self.snapshot).await?;
        self.report.media = Some(found.blobs);
        self.report.damaged += found.faults;
        for finding in found.findings {
            let finding = self.finding(finding.table, (None, None), finding.fault.to_string()).await?;
            self.report.findings.push(finding);
        }
        Ok(())
    }

    fn say(&mut self, what: &str) {
        let (table, what) = (String::new(), what.to_owned());
        self.report.findings.push(CheckFinding { table, room: None, event: None, key: None, what });
    }

    /// A finding, with the room and event by their ids; by their numbers if those have none.
    async fn finding(
        &self,
        table: &str,
        (room, event): (Option<RoomNumber>, Option<EventNumber>),
        what: String,
    ) -> Result<CheckFinding, ReadError> {
        let room = match room {
            Some(room) => match self.snapshot.get(&ROOM_IDS, &room).await {
                Ok(Some(room_id)) => Some(room_id.to_string()),
                _ => Some(format!("number {room}")),
            },
            None => None,
        };
        let event = match event {
            Some(event) => match self.snapshot.get(&EVENT_IDS, &event).await {
                Ok(Some(event_id)) => Some(event_id.to_string()),
                _ => Some(format!("number {event}")),
            },
            None => None,
        };
        Ok(CheckFinding { table: table.to_owned(), room, event, key: None, what })
    }
}

impl From<&TableReport> for TableCheck {
    fn from(report: &TableReport) -> Self {
        TableCheck { table: report.name.to_owned(), rows: report.rows, bytes: report.bytes }
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            writeln!(f, "{:<24} {:>12} rows {:>14} bytes", table.table, table.rows, table.bytes)?;
        }
        writeln!(f, "computed anew: rooms {}, events {}", self.rooms, self.events)?;
        if let (Some(rejudged), Some(unverified)) = (self.rejudged, self.unverified) {
            writeln!(f, "judged anew: events {rejudged}; no key is here for the signatures of {unverified}")?;
        }
        if let Some(files) = self.media {
            writeln!(f, "read: files of media {files}")?;
        }
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        match self.damaged {
            0 => f.write_str("everything is in order"),
            damaged => write!(f, "{damaged} damaged"),
        }
    }
}

impl fmt::Display for CheckFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts =
            [("table", Some(&self.table).filter(|table| !table.is_empty())), ("room", self.room.as_ref())];
        let parts = parts.into_iter().chain([("event", self.event.as_ref()), ("key", self.key.as_ref())]);
        for (name, value) in parts.filter_map(|(name, value)| Some((name, value?))) {
            write!(f, "{name} {value}, ")?;
        }
        f.write_str(&self.what)
    }
}
