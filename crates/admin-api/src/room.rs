//! Rooms as operators see them, and repairs.

use std::fmt;

use freehold_federation::RoomRepair;
use freehold_rooms::{RepairNote, RoomPicture};
use serde::{Deserialize, Serialize};

/// How many holes and extremities are listed for people.
const LISTED: usize = 10;

/// A room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomDetails {
    /// Its id.
    pub room_id: String,
    /// The id of its version.
    pub room_version: String,
    /// Its forward extremities.
    pub forward_extremities: Vec<String>,
    /// How many entries the current state has; `None` if it cannot be read.
    pub state_entries: Option<usize>,
    /// How many users are joined.
    pub joined: u64,
    /// How many users are invited.
    pub invited: u64,
    /// The servers in it, those with most users first.
    pub servers: Vec<RoomServer>,
    /// Since when only a few of its members are known, in milliseconds since the Unix epoch, if that is so.
    #[serde(default)]
    pub partial_since_ts: Option<i64>,
    /// How many events of others wait until all members are known, or to be judged since.
    #[serde(default)]
    pub held: u64,
    /// Those of them that are hosted here.
    pub tenants: Vec<String>,
    /// How many events were accepted.
    pub accepted: u64,
    /// How many events were soft-failed.
    pub soft_failed: u64,
    /// How many events were rejected.
    pub rejected: u64,
    /// How many events are known as parts of auth chains or states only.
    pub outliers: u64,
    /// How many events clients are shown.
    pub shown: u64,
    /// Events that are missing where history begins here.
    pub beginnings: Vec<String>,
    /// Events that are missing in the midst of history.
    pub holes: Vec<String>,
}

/// A server in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomServer {
    /// Its name.
    pub server_name: String,
    /// How many of its users are joined.
    pub joined: u64,
}

impl From<RoomPicture> for RoomDetails {
    fn from(room: RoomPicture) -> Self {
        let (midst, beginnings): (Vec<_>, Vec<_>) =
            room.holes.into_iter().partition(|hole| hole.is_in_the_midst);
        let lost = || "an event that is lost".to_owned();
        let heads = room.forward_extremities.into_iter();
        let servers = room.servers.into_iter();
        RoomDetails {
            room_id: room.room_id.to_string(),
            room_version: room.version.id().to_owned(),
            forward_extremities: heads.map(|head| head.map_or_else(lost, |id| id.to_string())).collect(),
            state_entries: room.state_entries,
            joined: room.joined,
            invited: room.invited,
            servers: servers
                .map(|(server, joined)| RoomServer { server_name: server.to_string(), joined })
                .collect(),
            partial_since_ts: room.partial_since_ts,
            held: room.held,
            tenants: room.tenants.iter().map(|tenant| tenant.server_name().to_string()).collect(),
            accepted: room.events.accepted,
            soft_failed: room.events.soft_failed,
            rejected: room.events.rejected,
            outliers: room.events.outliers,
            shown: room.events.shown,
            beginnings: beginnings.iter().map(|hole| hole.missing.to_string()).collect(),
            holes: midst.iter().map(|hole| hole.missing.to_string()).collect(),
        }
    }
}

impl fmt::Display for RoomDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, version {}", self.room_id, self.room_version)?;
        let state =
            self.state_entries.map_or("cannot be read".to_owned(), |count| format!("{count} entries"));
        writeln!(f, "  state        {state}")?;
        writeln!(f, "  members      {} joined, {} invited", self.joined, self.invited)?;
        if self.partial_since_ts.is_some() {
            writeln!(f, "               only a few are known yet; the others are being asked for")?;
        }
        if self.held > 0 {
            writeln!(f, "               {} events of others wait until then", self.held)?;
        }
        let servers: Vec<String> =
            self.servers.iter().map(|server| format!("{} ({})", server.server_name, server.joined)).collect();
        writeln!(f, "  servers      {}", few(&servers))?;
        writeln!(f, "  hosted here  {}", few(&self.tenants))?;
        writeln!(
            f,
            "  events       {} accepted, {} soft-failed, {} rejected, {} outliers; {} are shown",
            self.accepted, self.soft_failed, self.rejected, self.outliers, self.shown
        )?;
        writeln!(f, "  extremities  {}", few(&self.forward_extremities))?;
        writeln!(f, "  begins after {}", few(&self.beginnings))?;
        write!(f, "  holes        {}", few(&self.holes))
    }
}

/// The first of a list.
fn few(items: &[String]) -> String {
    let first: Vec<&str> = items.iter().take(LISTED).map(String::as_str).collect();
    match items.len().saturating_sub(LISTED) {
        0 if items.is_empty() => "none".to_owned(),
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// What a repair of a room changes, or would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairReport {
    /// The room.
    pub room_id: String,
    /// Whether it was done, and not only looked at.
    pub applied: bool,
    /// What is put right, in order.
    pub steps: Vec<RepairLine>,
    /// Which servers were asked for what is lost.
    pub asked: Vec<String>,
    /// How many lost events they gave.
    pub fetched: usize,
    /// Lost events that nobody gave.
    pub wanted: Vec<String>,
    /// Events that are missing in the midst of history.
    pub holes: Vec<String>,
    /// How many events of history were fetched.
    pub history: usize,
    /// What stays wrong.
    pub left: Vec<RepairLine>,
}

/// Something that is put right, or stays wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairLine {
    /// The table.
    pub table: String,
    /// The event, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// What.
    pub what: String,
}

impl From<RepairNote> for RepairLine {
    fn from(note: RepairNote) -> Self {
        RepairLine {
            table: note.table.to_owned(),
            event: note.event.map(|event| event.to_string()),
            what: note.what,
        }
    }
}

impl RepairReport {
    /// What came of looking at a room.
    pub(crate) fn planned(room_id: String, repair: RoomRepair) -> Self {
        let texts = |ids: Vec<_>| ids.iter().map(ToString::to_string).collect::<Vec<String>>();
        RepairReport {
            room_id,
            applied: false,
            steps: repair.plan.steps.into_iter().map(RepairLine::from).collect(),
            asked: repair.asked.iter().map(ToString::to_string).collect(),
            fetched: repair.fetched,
            wanted: texts(repair.plan.wanted),
            holes: texts(repair.holes),
            history: repair.history,
            left: repair.plan.left.into_iter().map(RepairLine::from).collect(),
        }
    }

    /// What came of repairing a room.
    pub(crate) fn applied(room_id: String, repair: RoomRepair) -> Self {
        RepairReport { applied: true, ..RepairReport::planned(room_id, repair) }
    }

    /// Whether the room is in order now.
    pub fn is_in_order(&self) -> bool {
        let is_whole = self.wanted.is_empty() && self.holes.is_empty() && self.left.is_empty();
        is_whole && (self.applied || self.steps.is_empty())
    }
}

impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.room_id)?;
        if !self.asked.is_empty() {
            writeln!(f, "  {} lost events came from {}", self.fetched, self.asked.join(", "))?;
        }
        for line in &self.steps {
            let done = if self.applied { "done" } else { "to do" };
            writeln!(f, "  {done:<6} {line}")?;
        }
        if self.history > 0 {
            writeln!(f, "  done   {} events of history were fetched", self.history)?;
        }
        for event in &self.wanted {
            let why = match self.asked.is_empty() {
                true => "nobody can be asked, because nobody hosted here is in the room with others",
                false => "nobody who was asked has it; name others with --via",
            };
            writeln!(f, "  lost   event {event}: {why}")?;
        }
        for event in &self.holes {
            let after = if self.applied { "nobody has it" } else { "asked for with --apply" };
            writeln!(f, "  hole   event {event} of the history: {after}")?;
        }
        self.left.iter().try_for_each(|line| writeln!(f, "  wrong  {line}"))?;
        match (self.steps.len(), self.applied) {
            _ if self.is_in_order() => f.write_str("the room is in order"),
            (0, _) => f.write_str("nothing more can be done"),
            (steps, false) => write!(f, "{steps} changes; nothing was changed yet: --apply does it"),
            (steps, true) => write!(f, "{steps} changes were made, and something is still wrong"),
        }
    }
}

impl fmt::Display for RepairLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.event {
            Some(event) => write!(f, "{}, event {event}: {}", self.table, self.what),
            None => write!(f, "{}: {}", self.table, self.what),
        }
    }
}
