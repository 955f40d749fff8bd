//! One generated room, judged and resolved by everybody.

use std::collections::BTreeMap;

use freehold_event::RoomVersion;
use freehold_testkit::{Events, Room, RoomEvent, StateMap, twin};
use serde_json::{Value, json};

use crate::{numbered::Numbered, ours, ruma::RumaRoom};

/// What comparing rooms came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Rooms.
    pub rooms: usize,
    /// Events whose authorisation was compared.
    pub events: usize,
    /// Sets of states that were resolved.
    pub resolutions: usize,
    /// Those among them in which something was conflicted.
    pub conflicted: usize,
    /// Those that ruma could resolve too.
    pub with_ruma: usize,
    /// Rooms that ruma was not asked about, by reason.
    pub without_ruma: BTreeMap<&'static str, usize>,
    /// Where two did not agree.
    pub disagreements: Vec<Disagreement>,
}

impl Tally {
    /// Adds what another comparison came to.
    pub fn add(&mut self, other: Self) {
        self.rooms += other.rooms;
        self.events += other.events;
        self.resolutions += other.resolutions;
        self.conflicted += other.conflicted;
        self.with_ruma += other.with_ruma;
        for (reason, rooms) in other.without_ruma {
            *self.without_ruma.entry(reason).or_default() += rooms;
        }
        self.disagreements.extend(other.disagreements);
    }
}

/// Two answers to one question.
#[derive(Clone, Debug)]
pub struct Disagreement {
    /// What was asked.
    pub question: String,
    /// Who answered, and what.
    pub answers: [(&'static str, String); 2],
    /// The states that were to be resolved, when that was the question.
    pub states: Vec<StateMap>,
}

impl Disagreement {
    /// The disagreement as one JSON object, to be saved before the events of its room.
    pub fn to_report(&self) -> Value {
        let states: Vec<Vec<&String>> = self.states.iter().map(|state| state.values().collect()).collect();
        let [one, other] = &self.answers;
        json!({ "question": self.question, one.0: one.1, other.0: other.1, "states": states })
    }
}

/// Asks everybody everything about a room: is each event authorised by its auth events and by the
/// state before it, and what do its states resolve to?
pub fn compare(room: &Room) -> Tally {
    let reason = ruma_is_known_to_differ(room);
    let ruma = RumaRoom::new(room.version, &room.events).filter(|_| reason.is_none());
    let mut comparison = Comparison {
        room,
        differences: twin::Differences::of(room.version.id()).unwrap_or_else(twin::Differences::newest),
        ruma,
        numbered: Numbered::new(&room.events),
        tally: Tally {
            rooms: 1,
            without_ruma: reason.into_iter().map(|reason| (reason, 1)).collect(),
            ..Tally::default()
        },
    };
    for event in room.events_in_order() {
        // From what the room says: not all of the events before this one need to be there.
        let states = event.prev_events.iter().filter_map(|id| room.states.get(id)).cloned();
        let states: Vec<StateMap> = states.collect();
        let before = twin::resolve(&comparison.differences, &states, &room.events).state;
        comparison.authorisation(event, &before);
    }
    for states in room.resolutions() {
        comparison.resolution(&states);
    }
    comparison.tally
}

/// Why there is no point in asking ruma about a room: the differences of `docs/disagreements.md` in
/// which ruma does not follow the specification.
fn ruma_is_known_to_differ(room: &Room) -> Option<&'static str> {
    let levels = || room.events_in_order().filter(|event| event.event_type == "m.room.power_levels");
    if levels().any(|event| holds_float(&Value::Object(event.content_object()))) {
        return Some("power levels with floats");
    }
    let unreadable = |event: &RoomEvent| {
        let content = event.content_object();
        let notifications = content.get("notifications").and_then(Value::as_object).into_iter().flatten();
        notifications.into_iter().any(|(_, level)| level == "many")
    };
    let not_looked_at = !room.version.rules().authorization.limit_notifications_power_levels;
    if not_looked_at && levels().any(unreadable) {
        return Some("`notifications` that nobody reads, with a level that cannot be read");
    }
    let disputed = |id: &String| room.events.get(id).is_some_and(|event| event.rejected);
    if room.forks.iter().flat_map(|state| state.values()).any(disputed) {
        return Some("a rejected event in a state");
    }
    no_join_rules_at_some_point(room).then_some("no join rules")
}

/// Whether an event after the founding of the room, or anybody's membership but the creator's, stands in a state
/// without join rules.
fn no_join_rules_at_some_point(room: &Room) -> bool {
    let join_rules = ("m.room.join_rules".to_owned(), String::new());
    let is_member =
        |id: &String| room.events.get(id).is_some_and(|event| event.event_type == "m.room.member");
    let without = |id: &String| room.states.get(id).is_some_and(|state| !state.contains_key(&join_rules));
    let mut events = room.order.iter().enumerate();
    events.any(|(position, id)| (position >= 4 || position >= 2 && is_member(id)) && without(id))
}

fn holds_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Object(object) => object.values().any(holds_float),
        _ => false,
    }
}

struct Comparison<'a> {
    room: &'a Room,
    differences: twin::Differences,
    ruma: Option<RumaRoom>,
    numbered: Numbered<'a>,
    tally: Tally,
}

impl Comparison<'_> {
    fn events(&self) -> &Events {
        &self.room.events
    }

    fn version(&self) -> &'static RoomVersion {
        self.room.version
    }

    fn authorisation(&mut self, event: &RoomEvent, before: &StateMap) {
        self.tally.events += 1;
        let named = ours::auth_state(event, self.events(), self.version());
        let list = || twin::check_auth_events(event, self.events(), &self.differences);
        let state = |state: &StateMap| {
            let found = state.iter().filter_map(|(key, id)| Some((key.clone(), self.events().get(id)?)));
            twin::check(event, &found.collect(), &self.differences)
        };
        let twins =
            [list(), state(&named), state(before)].map(|verdict| said(verdict.map_err(|denied| denied.rule)));
        let ours = [
            ours::auth_events(event, self.events(), self.version()),
            ours::auth(event, &named, self.events(), self.version()),
            ours::auth(event, before, self.events(), self.version()),
        ];
        let number = |denial: freehold_event_auth::Denial| {
            denial.rule.number(self.version()).map(|number| number.to_string()).unwrap_or_default()
        };
        let ours = ours.map(|verdict| said(verdict.map_err(number)));
        let ruma = self.ruma.as_ref().map(|ruma| {
            let id = &event.event_id;
            [ruma.check_auth_events(id), ruma.check(id, &named), ruma.check(id, before)]
        });
        let questions = ["auth_events list", "auth events", "state before"];
        for (number, question) in questions.iter().enumerate() {
            let question = format!("{} {}: {question}", event.event_type, event.event_id);
            let (Some(twin), Some(own)) = (twins.get(number), ours.get(number)) else { continue };
            self.compare(&question, ("twin", twin), ("ours", own), &[]);
            if let Some(verdict) = ruma.as_ref().and_then(|ruma| ruma.get(number)).cloned()
                && verdict.is_ok() != own.starts_with("allowed")
            {
                self.compare(&question, ("ours", own), ("ruma", &said(verdict)), &[]);
            }
        }
    }

    fn resolution(&mut self, states: &[StateMap]) {
        self.tally.resolutions += 1;
        let twin = twin::resolve(&self.differences, states, self.events());
        self.tally.conflicted += usize::from(!twin.full_conflicted_set.is_empty());
        let resolved = written(&twin.state);
        let own = ours::resolve(self.version(), states, self.events());
        let own = own.map_or_else(|error| error, |state| written(&state));
        self.compare("resolution", ("twin", &resolved), ("ours", &own), states);
        let own = self.numbered.resolve(self.version(), states);
        let own = own.map_or_else(|error| error, |state| written(&state));
        self.compare("resolution of snapshots", ("twin", &resolved), ("ours", &own), states);
        if let Some(Ok(ruma)) = self.ruma.as_ref().map(|ruma| ruma.resolve(states, self.events())) {
            self.tally.with_ruma += 1;
            self.compare("resolution", ("twin", &resolved), ("ruma", &written(&ruma)), states);
        }
    }

    fn compare(
        &mut self,
        question: &str,
        one: (&'static str, &str),
        other: (&'static str, &str),
        states: &[StateMap],
    ) {
        if one.1 != other.1 {
            self.tally.disagreements.push(Disagreement {
                question: format!("version {}: {question}", self.version()),
                answers: [(one.0, one.1.to_owned()), (other.0, other.1.to_owned())],
                states: states.to_vec(),
            });
        }
    }
}

fn said(verdict: Result<(), String>) -> String {
    verdict.map_or_else(|rule| format!("denied: {rule}"), |()| "allowed".to_owned())
}

/// A state as text, one entry a line.
fn written(state: &StateMap) -> String {
    state.iter().map(|((event_type, state_key), id)| format!("{event_type} {state_key:?} {id}\n")).collect()
}
