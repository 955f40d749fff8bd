//! State resolution in a browser: a page pastes the events of a room and the forks of its state,
//! and is told what the state is and why.
//!
//! Text goes in and text comes out, so the same function runs on a server, in a test and in
//! WebAssembly (`cargo build --target wasm32-unknown-unknown -p freehold-browser-example`). For a
//! page to call it, `#[wasm_bindgen]` goes in front of a function like [`resolve_room`]. It writes
//! unsafe code, which this workspace does without, so that it belongs into a crate of the page.
//!
//! ```
//! let error = freehold_browser_example::resolve_room("{}", "$a $b").unwrap_err();
//! assert_eq!(error, "no line is the m.room.create event of a room version known here");
//! ```

use std::collections::BTreeMap;

use freehold_canonical_json::{Object, Value};
use freehold_event::{EventSource, EventView, Pdu, RawPdu, RoomVersion};
use freehold_state_res::{Outcome, PlainForks, Resolution, ResolveBudget, resolve};
use ruma_common::{EventId, OwnedEventId};

/// The events that the page was given.
struct Room {
    version: &'static RoomVersion,
    events: BTreeMap<OwnedEventId, Pdu>,
}

impl EventSource for Room {
    type Id = OwnedEventId;

    fn event(&self, id: &OwnedEventId) -> Option<EventView<'_, OwnedEventId>> {
        self.events.get(id).map(Pdu::view)
    }
}

/// The state of one fork: what `/state_ids` of the federation API lists, by type and state key.
type State<'a> = BTreeMap<(&'a str, &'a str), &'a OwnedEventId>;

/// Resolves the forks of a room.
///
/// `events` has one PDU in the federation format per line, `forks` one fork per line: the ids of
/// its state events, with spaces between. The answer is JSON: `state` lists type, state key and
/// event id; `dropped` says of each event that did not get into it why.
///
/// # Errors
///
/// A sentence for the page to show.
pub fn resolve_room(events: &str, forks: &str) -> Result<String, String> {
    let room = Room::read(events)?;
    let states = forks.lines().map(|line| room.state(line)).collect::<Result<Vec<_>, _>>()?;
    let forks = PlainForks::new(states);
    // A page should rather give up than hang.
    let budget = ResolveBudget { events: 100_000, ..ResolveBudget::default() };
    let resolution = resolve(room.version, &forks, &room, &budget).map_err(|error| error.to_string())?;
    let answer: Object<'_> =
        [("state", state_list(&forks.state(&resolution))), ("dropped", dropped_list(&resolution))]
            .into_iter()
            .collect();
    Ok(String::from_utf8_lossy(&answer.to_canonical_vec()).into_owned())
}

impl Room {
    fn read(text: &str) -> Result<Self, String> {
        let raw = || text.lines().map(|line| RawPdu::new(line.as_bytes()));
        let version = raw()
            .find_map(|pdu| pdu.created_room_version()?.ok())
            .ok_or("no line is the m.room.create event of a room version known here")?;
        let mut events = BTreeMap::new();
        for (index, pdu) in raw().enumerate() {
            let pdu = pdu.parse(version).map_err(|error| format!("line {}: {error}", index + 1))?;
            let pdu = pdu.check_content_hash().into_pdu();
            events.insert(pdu.event_id().to_owned(), pdu);
        }
        Ok(Self { version, events })
    }

    fn state(&self, line: &str) -> Result<State<'_>, String> {
        line.split_whitespace().map(|id| self.state_entry(id)).collect()
    }

    fn state_entry(&self, id: &str) -> Result<((&str, &str), &OwnedEventId), String> {
        let known = EventId::parse(id).ok().and_then(|id| self.events.get_key_value(&id));
        let (id, pdu) = known.ok_or_else(|| format!("{id} is in a fork but not among the events"))?;
        let state_key = pdu.state_key().ok_or_else(|| format!("{id} is not a state event"))?;
        Ok(((pdu.event_type(), state_key), id))
    }
}

fn state_list(state: &State<'_>) -> Value<'static> {
    let row = |((event_type, state_key), id): (&(&str, &str), &&OwnedEventId)| {
        let columns = [*event_type, *state_key, id.as_str()];
        Value::Array(columns.into_iter().map(|column| Value::from(column.to_owned())).collect())
    };
    Value::Array(state.iter().map(row).collect())
}

fn dropped_list(resolution: &Resolution<'_, OwnedEventId>) -> Value<'static> {
    let row = |id: &str, outcome: &Outcome| {
        let why = match outcome {
            Outcome::Denied(denial) | Outcome::Rejected(denial) => denial.to_string(),
            other => format!("{other:?}"),
        };
        let row: Object<'_> = [("event_id", id.to_owned()), ("why", why)].into_iter().collect();
        Value::Object(row)
    };
    Value::Array(resolution.dropped().map(|step| row(step.event_id, &step.outcome)).collect())
}
