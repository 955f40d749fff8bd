//! Holds our libraries' results on an exported room against Synapse's, through the program that a researcher uses.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    export::Export,
    failure::{Context, Failure, Result},
    user::string,
};

/// Checks one room, says what was found, and returns the number of differences.
pub(crate) fn room(roomlab: &Path, keys: &Path, export: &Export) -> Result<usize> {
    let lab = Roomlab { program: roomlab, export };
    lab.run(&["verify", "--keys", &keys.display().to_string()])?;
    lab.run(&["compare"])?;
    let drawing = export.events.with_extension("html").display().to_string();
    lab.run(&["draw", "-o", &drawing])?;
    let mut differences = usize::from(lab.state(&[])? != export.current_state);
    if differences > 0 {
        println!("version {}: the current state differs from Synapse's", export.version);
    }
    for (event_id, theirs) in &export.states_before {
        let mut ours: Vec<String> = lab.state_before(event_id)?.into_iter().map(|(_, _, id)| id).collect();
        ours.sort();
        if ours != *theirs {
            differences += 1;
            println!("version {}: the state before {event_id} differs from Synapse's", export.version);
        }
    }
    println!(
        "version {}: {} events verified, {} of {} states equal to Synapse's",
        export.version,
        export.events_count,
        export.states_before.len() + 1 - differences,
        export.states_before.len() + 1,
    );
    Ok(differences)
}

struct Roomlab<'a> {
    program: &'a Path,
    export: &'a Export,
}

impl Roomlab<'_> {
    /// The state before an event of the room.
    fn state_before(&self, event_id: &str) -> Result<Vec<(String, String, String)>> {
        let prev_events = self.export.prev_events.get(event_id).context(format!("event {event_id}"))?;
        self.state(&["--at", &prev_events.join(",")])
    }

    fn state(&self, options: &[&str]) -> Result<Vec<(String, String, String)>> {
        let arguments: Vec<&str> = ["resolve", "--json"].iter().chain(options).copied().collect();
        let output = self.run(&arguments)?;
        let answer: Value = serde_json::from_slice(&output.stdout).context("the resolved state as JSON")?;
        let entries = answer.get("state").and_then(Value::as_array).context("the resolved state")?;
        // A key whose every candidate was denied is listed without an event.
        let present = entries.iter().filter(|entry| entry.get("event_id").is_some_and(Value::is_string));
        let mut state = present
            .map(|entry| {
                Ok((string(entry, "type")?, string(entry, "state_key")?, string(entry, "event_id")?))
            })
            .collect::<Result<Vec<_>>>()?;
        state.sort();
        Ok(state)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(self.program);
        command.args(arguments).arg(&self.export.events).stdin(Stdio::null());
        let output = command.output().context("start roomlab")?;
        if output.status.success() {
            return Ok(output);
        }
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Err(Failure::new(format!(
            "`roomlab {}` on a room of version {} ended with {}:\n{}{}",
            arguments.join(" "),
            self.export.version,
            output.status,
            said(&output.stdout),
            said(&output.stderr),
        )))
    }
}
