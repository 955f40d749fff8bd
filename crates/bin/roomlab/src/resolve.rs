//! `roomlab resolve`: the state that several states resolve to.

use std::collections::BTreeMap;
use std::io::{self, Write};

use freehold_state_map::StateMap;
use freehold_state_res::Algorithm;
use serde_json::{Value, json};

use crate::cli::ResolveArgs;
use crate::failure::Failure;
use crate::output::{Report, Table};
use crate::replay::{Replay, replay};
use crate::resolver::{self, algorithm_name};
use crate::room::{self, Room};

/// A resolved state.
#[derive(Debug)]
pub(crate) struct ResolvedState {
    room_id: String,
    room_version: &'static str,
    algorithm: Algorithm,
    /// The events after which the states were taken.
    forks: Vec<String>,
    rows: Vec<Row>,
    only_diff: bool,
    conflicted: usize,
}

/// One key of the state.
#[derive(Debug)]
struct Row {
    event_type: String,
    state_key: String,
    event_id: Option<String>,
    /// What each fork has; empty when they all agree.
    forks: Vec<Option<String>>,
}

/// Runs the command.
pub(crate) fn resolve(args: &ResolveArgs) -> Result<ResolvedState, Failure> {
    let room = room::load(&args.file)?;
    let replay = replay(&room, args.algorithm)?;
    let forks = forks(&replay, &args.at)?;
    let states = known_states(&replay, &forks)?;
    let resolved = resolver::resolve(&replay, &states).map_err(|source| Failure::Resolve {
        event_id: forks.iter().map(|fork| room.name(*fork)).collect::<Vec<_>>().join(", "),
        source,
    })?;
    let (resolved, fork_states) =
        (replay.keys.sorted(&resolved.state), states.iter().map(|state| replay.keys.sorted(state)).collect());
    let rows = rows(&room, &resolved, fork_states);
    let conflicted = rows.iter().filter(|row| !row.forks.is_empty()).count();
    Ok(ResolvedState {
        room_id: room.events.first().map(|event| event.pdu().room_id().to_string()).unwrap_or_default(),
        room_version: room.version.id(),
        algorithm: replay.algorithm,
        forks: forks.iter().map(|fork| room.name(*fork).to_owned()).collect(),
        rows: rows.into_iter().filter(|row| !args.diff || !row.forks.is_empty()).collect(),
        only_diff: args.diff,
        conflicted,
    })
}

/// The events with these ids, or those at the end of the room.
pub(crate) fn forks(replay: &Replay<'_>, at: &[String]) -> Result<Vec<u64>, Failure> {
    if at.is_empty() {
        return Ok(replay.extremities());
    }
    let room = replay.room;
    let number = |event_id: &String| {
        let missing = || Failure::NoSuchEvent { file: room.file.clone(), event_id: event_id.clone() };
        room.find(event_id).map(|event| event.number).ok_or_else(missing)
    };
    at.iter().map(number).collect()
}

/// The states after these events.
pub(crate) fn known_states<'a>(replay: &'a Replay<'_>, forks: &[u64]) -> Result<Vec<&'a StateMap>, Failure> {
    replay.states_after(forks).map_err(|unknown| Failure::StateUnknown {
        event_id: replay.room.name(unknown).to_owned(),
        reason: format!("{} is not in the file", replay.room.name(replay.first_missing(unknown))),
    })
}

type Named<'a> = BTreeMap<(&'a str, &'a str), u64>;

fn rows(room: &Room, resolved: &Named<'_>, forks: Vec<Named<'_>>) -> Vec<Row> {
    let mut keys: Vec<(&str, &str)> =
        resolved.keys().chain(forks.iter().flat_map(BTreeMap::keys)).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let name = |number: Option<&u64>| number.map(|number| room.name(*number).to_owned());
    keys.into_iter()
        .map(|key| {
            let of_forks: Vec<Option<&u64>> = forks.iter().map(|fork| fork.get(&key)).collect();
            let is_agreed = of_forks.iter().all(|event| *event == resolved.get(&key));
            Row {
                event_type: key.0.to_owned(),
                state_key: key.1.to_owned(),
                event_id: name(resolved.get(&key)),
                forks: if is_agreed { Vec::new() } else { of_forks.into_iter().map(name).collect() },
            }
        })
        .collect()
}

impl Report for ResolvedState {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "room {}, version {}, algorithm {}, {} forks, {} keys in conflict",
            self.room_id,
            self.room_version,
            algorithm_name(self.algorithm),
            self.forks.len(),
            self.conflicted
        )?;
        for (number, fork) in (1..).zip(&self.forks) {
            writeln!(out, "fork {number} ends at {fork}")?;
        }
        writeln!(out)?;
        let mut table = Table::default();
        for row in &self.rows {
            let event_id = row.event_id.as_deref().unwrap_or("(nothing)");
            let mark = if row.forks.is_empty() { " " } else { "*" };
            table.row([mark, &row.event_type, &row.state_key, event_id]);
            for (number, event) in (1..).zip(&row.forks) {
                let said = format!("fork {number}");
                let event = event.as_deref().unwrap_or("(nothing)");
                let won = if row.event_id.as_deref() == Some(event) { "=" } else { "-" };
                table.row(["", "", &said, &format!("{won} {event}")]);
            }
        }
        if self.rows.is_empty() && self.only_diff {
            return writeln!(out, "the forks agree on everything");
        }
        table.write(out)
    }

    fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "type": row.event_type,
                "state_key": row.state_key,
                "event_id": row.event_id,
                "forks": row.forks,
            })
        };
        json!({
            "room_id": self.room_id,
            "room_version": self.room_version,
            "algorithm": algorithm_name(self.algorithm),
            "forks": self.forks,
            "conflicted": self.conflicted,
            "state": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}
