//! A room's event graph and what Synapse says of its states, as files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    failure::{Context, Result},
    resident::{Graph, Resident},
    scenario::{Room, World},
};

/// What was exported of one room.
pub(crate) struct Export {
    /// The room version's identifier.
    pub(crate) version: &'static str,
    /// The events, one PDU in a line.
    pub(crate) events: PathBuf,
    /// How many events there are.
    pub(crate) events_count: usize,
    /// Synapse's current state: (type, state key, event id), in order.
    pub(crate) current_state: Vec<(String, String, String)>,
    /// For each event that is not ours, the ids of the state before it, in order.
    pub(crate) states_before: Vec<(String, Vec<String>)>,
    /// The `prev_events` of each event.
    pub(crate) prev_events: BTreeMap<String, Vec<String>>,
}

impl Export {
    /// Asks Synapse for its states and writes the files.
    pub(crate) fn write(
        folder: &Path,
        graph: &Graph,
        room: &Room,
        world: &World<'_>,
        resident: &Resident<'_>,
    ) -> Result<Self> {
        let version = room.version.id();
        let mut lines = String::new();
        let (mut states_before, mut prev_events) = (Vec::new(), BTreeMap::new());
        for (pdu, text) in graph.events() {
            lines += text;
            lines.push('\n');
            let ids = pdu.prev_events().iter().map(ToString::to_string).collect();
            prev_events.insert(pdu.event_id().to_string(), ids);
            if !pdu.prev_events().is_empty() && pdu.sender().server_name() != resident.server_name() {
                let event_id = pdu.event_id().as_str();
                states_before.push((event_id.to_owned(), resident.state_before(&room.room_id, event_id)?));
            }
        }
        let current_state = world.state(room)?;
        let events = folder.join(format!("version-{version}.jsonl"));
        std::fs::write(&events, lines).context("write a room's events")?;
        let states = json!({"current_state": current_state, "states_before": states_before});
        std::fs::write(folder.join(format!("version-{version}.synapse.json")), format!("{states:#}\n"))
            .context("write what Synapse says of a room's states")?;
        Ok(Self {
            version,
            events,
            events_count: graph.events().len(),
            current_state,
            states_before,
            prev_events,
        })
    }
}
