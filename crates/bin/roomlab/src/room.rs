//! A room: read from JSON Lines, checked, and put in order.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use freehold_event::{
    ContentHashVerdict, EventView, FormatError, HashedPdu, Pdu, ReferenceLimits, RoomVersion,
};
use serde_json::Value;

use crate::failure::{BAD_INPUT, IO};
use crate::graph;

/// A room as its file has it. Events have numbers: `0..events.len()`, parents before children.
#[derive(Debug)]
pub(crate) struct Room {
    /// Name of the file, for messages.
    pub(crate) file: String,
    pub(crate) version: &'static RoomVersion,
    pub(crate) events: Vec<Event>,
    /// Event ids by number; behind those of the events, those that events refer to and the file does not have.
    names: Vec<String>,
    numbers: BTreeMap<String, u64>,
}

/// One event of a room.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) number: u64,
    /// Where the file has it, counted from 1.
    pub(crate) line: usize,
    /// The event as servers process it: redacted when its content hash does not match.
    pub(crate) hashed: HashedPdu,
    /// The event as the file has it, when that is something else.
    received: Option<Pdu>,
    /// As in the event, by number.
    pub(crate) prev_events: Vec<u64>,
    pub(crate) auth_events: Vec<u64>,
    /// Length of the longest path over `auth_events`.
    pub(crate) generation: u64,
    /// More references than a room version allows, which only answers to `/backfill` may have.
    pub(crate) over_reference_limit: Option<FormatError>,
}

impl Event {
    /// The event as servers process it.
    pub(crate) fn pdu(&self) -> &Pdu {
        self.hashed.pdu()
    }

    /// The event as the file has it.
    pub(crate) fn received(&self) -> &Pdu {
        self.received.as_ref().unwrap_or(self.pdu())
    }

    /// Type and state key, for people.
    pub(crate) fn title(&self) -> String {
        let pdu = self.pdu();
        match pdu.state_key() {
            Some("") | None => pdu.event_type().to_owned(),
            Some(state_key) => format!("{} {state_key}", pdu.event_type()),
        }
    }
}

/// A room and the lines that are no event of it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) room: Room,
    pub(crate) problems: Vec<Problem>,
}

/// A line that is no event of the room.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) kind: ProblemKind,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ProblemKind {
    #[error("not a PDU of room version {version}")]
    Format { version: &'static RoomVersion, source: FormatError },
    #[error("belongs to room {found}, the events before to {expected}")]
    OtherRoom { expected: String, found: String },
    #[error("{event_id} is on line {first} already, with other bytes")]
    OtherBytes { event_id: String, first: usize },
    #[error("{event_id} is among its own ancestors")]
    Cycle { event_id: String },
}

/// Why a file is no room.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoomError {
    #[error("cannot read {file}")]
    Read { file: String, source: io::Error },
    #[error("{file} holds no events")]
    Empty { file: String },
    #[error("{file}: neither a header nor a create event says the room version")]
    NoVersion { file: String },
    #[error("{file}:{line}: room version {version:?} is unknown")]
    UnknownVersion { file: String, line: usize, version: String },
    #[error("{}", Lines { file, problems })]
    Lines { file: String, problems: Vec<Problem> },
}

impl RoomError {
    pub(crate) fn code(&self) -> u8 {
        if matches!(self, RoomError::Read { .. }) { IO } else { BAD_INPUT }
    }
}

/// One line for each problem, as compilers write them.
struct Lines<'a> {
    file: &'a str,
    problems: &'a [Problem],
}

const PROBLEMS_SHOWN: usize = 20;

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().take(PROBLEMS_SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{}: {}", self.file, problem.line, problem.reason())?;
        }
        match self.problems.len().saturating_sub(PROBLEMS_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n{}: {more} more lines like these", self.file),
        }
    }
}

impl Problem {
    pub(crate) fn reason(&self) -> String {
        crate::failure::chain(&self.kind)
    }
}

/// Reads a room; a line that is no event of it is an error.
pub(crate) fn load(path: &Path) -> Result<Room, RoomError> {
    let Loaded { room, problems } = load_with_problems(path)?;
    if problems.is_empty() { Ok(room) } else { Err(RoomError::Lines { file: room.file, problems }) }
}

/// Reads a room and says which lines are no event of it.
pub(crate) fn load_with_problems(path: &Path) -> Result<Loaded, RoomError> {
    let file = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    read.map_err(|source| RoomError::Read { file: file.clone(), source })?;
    parse(file, &bytes)
}

/// Reads a room from the bytes of its file.
pub(crate) fn parse(file: String, bytes: &[u8]) -> Result<Loaded, RoomError> {
    let lines: Vec<(usize, &[u8])> = bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty())
        .collect();
    if lines.is_empty() {
        return Err(RoomError::Empty { file });
    }
    let (version, has_header) = version_of(&file, &lines)?;
    let mut reader = Reader { version, events: Vec::new(), by_id: BTreeMap::new(), problems: Vec::new() };
    for (line, text) in lines.iter().skip(usize::from(has_header)) {
        reader.line(*line, text);
    }
    let Reader { events, mut problems, .. } = reader;
    let (room, in_cycles) = Room::new(file, version, events);
    problems.extend(in_cycles);
    problems.sort_by_key(|problem| problem.line);
    if room.events.is_empty() && problems.is_empty() {
        return Err(RoomError::Empty { file: room.file });
    }
    Ok(Loaded { room, problems })
}

/// The room version, from a header `{"room_version": …}` on the first line or from the create
/// event; whether there is a header.
fn version_of(file: &str, lines: &[(usize, &[u8])]) -> Result<(&'static RoomVersion, bool), RoomError> {
    for (index, (line, text)) in lines.iter().enumerate() {
        let Ok(Value::Object(object)) = serde_json::from_slice(text) else { continue };
        let is_header = index == 0 && !object.contains_key("type");
        let said = if is_header {
            object.get("room_version")
        } else if object.get("type").and_then(Value::as_str) == Some("m.room.create") {
            // "Defaults to "1" if the key does not exist."
            let said = object.get("content").and_then(|content| content.get("room_version"));
            Some(said.unwrap_or(&Value::Null))
        } else {
            None
        };
        let Some(said) = said else { continue };
        let id = if said.is_null() { "1" } else { said.as_str().unwrap_or_default() };
        let unknown = || RoomError::UnknownVersion {
            file: file.to_owned(),
            line: *line,
            version: said.as_str().map_or_else(|| said.to_string(), str::to_owned),
        };
        return Ok((RoomVersion::find(id).ok_or_else(unknown)?, is_header));
    }
    Err(RoomError::NoVersion { file: file.to_owned() })
}

/// An event before it has a number.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) line: usize,
    pub(crate) pdu: Pdu,
    pub(crate) over_reference_limit: Option<FormatError>,
}

struct Reader {
    version: &'static RoomVersion,
    events: Vec<Parsed>,
    by_id: BTreeMap<String, usize>,
    problems: Vec<Problem>,
}

impl Reader {
    fn line(&mut self, line: usize, text: &[u8]) {
        let version = self.version;
        match parse_pdu(text, version) {
            Ok((pdu, over_reference_limit)) => self.event(Parsed { line, pdu, over_reference_limit }),
            Err(source) => {
                self.problems.push(Problem { line, kind: ProblemKind::Format { version, source } });
            }
        }
    }

    fn event(&mut self, parsed: Parsed) {
        let (line, id) = (parsed.line, parsed.pdu.event_id().as_str().to_owned());
        if let Some(first) = self.events.first()
            && first.pdu.room_id() != parsed.pdu.room_id()
        {
            let (expected, found) = (first.pdu.room_id().to_string(), parsed.pdu.room_id().to_string());
            self.problems.push(Problem { line, kind: ProblemKind::OtherRoom { expected, found } });
            return;
        }
        match self.by_id.get(&id).and_then(|first| self.events.get(*first)) {
            // The same event twice is what a concatenation of exports has.
            Some(first) if first.pdu == parsed.pdu => {}
            Some(first) => {
                let kind = ProblemKind::OtherBytes { event_id: id, first: first.line };
                self.problems.push(Problem { line, kind });
            }
            None => {
                self.by_id.insert(id, self.events.len());
                self.events.push(parsed);
            }
        }
    }
}

/// Events that came by way of `/backfill` may have more references than others.
fn parse_pdu(text: &[u8], version: &'static RoomVersion) -> Result<(Pdu, Option<FormatError>), FormatError> {
    match Pdu::parse(text, version) {
        Ok(pdu) => Ok((pdu, None)),
        Err(error @ FormatError::TooManyReferences { .. }) => {
            Ok((Pdu::parse_with(text, version, ReferenceLimits::BACKFILL)?, Some(error)))
        }
        Err(error) => Err(error),
    }
}

impl Room {
    /// The room of these events; those that are in a cycle (which event ids allow in room versions
    /// 1 and 2 only), and those behind them, are left out.
    pub(crate) fn new(
        file: String,
        version: &'static RoomVersion,
        events: Vec<Parsed>,
    ) -> (Room, Vec<Problem>) {
        let (ordered, in_cycles) = graph::parents_first(events);
        let names: Vec<String> = ordered.iter().map(|event| event.pdu.event_id().to_string()).collect();
        let numbers = (0..).zip(&names).map(|(number, name)| (name.clone(), number)).collect();
        let mut room = Room { file, version, events: Vec::with_capacity(ordered.len()), names, numbers };
        for parsed in ordered {
            let event = room.numbered(parsed);
            room.events.push(event);
        }
        let cycle = |parsed: Parsed| Problem {
            line: parsed.line,
            kind: ProblemKind::Cycle { event_id: parsed.pdu.event_id().to_string() },
        };
        (room, in_cycles.into_iter().map(cycle).collect())
    }

    fn numbered(&mut self, parsed: Parsed) -> Event {
        let number = self.events.len() as u64;
        let prev_events = parsed.pdu.prev_events().iter().map(|id| self.intern(id.as_str())).collect();
        let auth_events: Vec<u64> =
            parsed.pdu.auth_events().iter().map(|id| self.intern(id.as_str())).collect();
        let deepest = auth_events.iter().filter_map(|id| self.event(*id)).map(|event| event.generation).max();
        let generation = if auth_events.is_empty() { 0 } else { deepest.unwrap_or(0).saturating_add(1) };
        let Parsed { line, pdu, over_reference_limit } = parsed;
        let as_received = pdu.clone();
        let hashed = pdu.check_content_hash();
        let received = (hashed.verdict() == ContentHashVerdict::Redacted).then_some(as_received);
        Event { number, line, hashed, received, prev_events, auth_events, generation, over_reference_limit }
    }

    fn intern(&mut self, id: &str) -> u64 {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = self.names.len() as u64;
        self.names.push(id.to_owned());
        self.numbers.insert(id.to_owned(), number);
        number
    }

    /// The event with this number, `None` for one that the file does not have.
    pub(crate) fn event(&self, number: u64) -> Option<&Event> {
        self.events.get(usize::try_from(number).ok()?)
    }

    /// The events as they came, one on each line.
    pub(crate) fn lines(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for event in &self.events {
            lines.extend_from_slice(event.received().canonical_json().as_bytes());
            lines.push(b'\n');
        }
        lines
    }

    /// The event with this id, or the only one whose id begins so.
    pub(crate) fn find(&self, event_id: &str) -> Option<&Event> {
        if let Some(event) = self.number(event_id).and_then(|number| self.event(number)) {
            return Some(event);
        }
        let mut found =
            self.events.iter().filter(|event| event.pdu().event_id().as_str().starts_with(event_id));
        found.next().filter(|_| found.next().is_none())
    }

    /// The number of an event that the file has or refers to.
    pub(crate) fn number(&self, event_id: &str) -> Option<u64> {
        self.numbers.get(event_id).copied()
    }

    /// The event id that belongs to a number.
    pub(crate) fn name(&self, number: u64) -> &str {
        usize::try_from(number).ok().and_then(|index| self.names.get(index)).map_or("?", String::as_str)
    }

    /// What authorisation and resolution see of an event.
    pub(crate) fn view(&self, number: u64, rejected: bool) -> Option<EventView<'_, u64>> {
        let event = self.event(number)?;
        let view = event.pdu().view().with_ids(&event.number, &event.prev_events, &event.auth_events);
        Some(EventView { rejected, ..view })
    }
}
