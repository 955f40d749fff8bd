//! Small event graphs, written by hand: every link is the test's own.

use std::collections::BTreeMap;

use freehold_event::{EventSource, EventView, RoomVersion};
use freehold_state_res::{
    PlainForks, Resolution, ResolveBudget, ResolveError, Step, generation_above, resolve,
};
use freehold_testkit::{RoomEvent, StateMap};
use serde_json::{Value, json};

pub(crate) const ALICE: &str = "@alice:one.example";
pub(crate) const BOB: &str = "@bob:two.example";
pub(crate) const CHARLIE: &str = "@charlie:three.example";
pub(crate) const EVE: &str = "@eve:four.example";
pub(crate) const ZARA: &str = "@zara:five.example";

/// Events by a short name, which is their event id without the `$`.
#[derive(Clone)]
pub(crate) struct Dag {
    pub(crate) version: &'static RoomVersion,
    pub(crate) events: BTreeMap<String, RoomEvent>,
    /// Answered by [`EventSource::generation`]; nothing is, when empty.
    pub(crate) generations: BTreeMap<String, u64>,
    next_ts: i64,
}

impl Dag {
    /// A room that Alice created.
    pub(crate) fn new(version: &'static RoomVersion) -> Self {
        let mut dag = Self { version, events: BTreeMap::new(), generations: BTreeMap::new(), next_ts: 0 };
        let content = json!({ "room_version": version.id(), "creator": ALICE });
        dag.add("create", (ALICE, "m.room.create", ""), content, &[]);
        dag
    }

    /// A public room that Alice created, with these levels beside hers, into which Bob and Charlie
    /// came.
    ///
    /// ```text
    /// create <- alice <- PL <- JR <- bob, charlie
    /// ```
    pub(crate) fn founded(version: &'static RoomVersion, levels: Value) -> Self {
        let mut dag = Self::new(version);
        dag.member("alice", ALICE, "join", &[]);
        let users = dag.users(levels);
        dag.levels("PL", ALICE, users, &["alice"]);
        dag.rule("JR", ALICE, "public", &["alice", "PL"]);
        dag.member("bob", BOB, "join", &["PL", "JR"]);
        dag.member("charlie", CHARLIE, "join", &["PL", "JR"]);
        dag
    }

    /// Adds an event that cites exactly these events (and the create event, where it is cited).
    pub(crate) fn add(
        &mut self,
        name: &str,
        (sender, event_type, state_key): (&str, &str, &str),
        content: Value,
        auth_events: &[&str],
    ) -> &mut RoomEvent {
        let by_room_id = self.version.rules().authorization.room_create_event_id_as_room_id;
        let room_id = if by_room_id { "!create" } else { "!room:one.example" };
        let create = (!by_room_id && name != "create").then_some("create");
        let cited = create.iter().chain(auth_events).map(|name| format!("${name}"));
        let event = RoomEvent {
            event_id: format!("${name}"),
            room_id: (!by_room_id || name != "create").then(|| room_id.to_owned()),
            event_type: event_type.to_owned(),
            state_key: Some(state_key.to_owned()),
            sender: sender.to_owned(),
            content: content.to_string(),
            origin_server_ts: self.next_ts,
            depth: self.next_ts,
            prev_events: if name == "create" { Vec::new() } else { vec!["$create".to_owned()] },
            auth_events: cited.collect(),
            redacts: None,
            rejected: false,
            pdu: None,
        };
        self.next_ts += 1;
        self.events.entry(format!("${name}")).or_insert(event)
    }

    pub(crate) fn member(
        &mut self,
        name: &str,
        user: &str,
        membership: &str,
        auth_events: &[&str],
    ) -> &mut RoomEvent {
        self.add(name, (user, "m.room.member", user), json!({ "membership": membership }), auth_events)
    }

    pub(crate) fn levels(
        &mut self,
        name: &str,
        sender: &str,
        users: Value,
        auth_events: &[&str],
    ) -> &mut RoomEvent {
        self.add(name, (sender, "m.room.power_levels", ""), json!({ "users": users }), auth_events)
    }

    pub(crate) fn rule(
        &mut self,
        name: &str,
        sender: &str,
        rule: &str,
        auth_events: &[&str],
    ) -> &mut RoomEvent {
        self.add(name, (sender, "m.room.join_rules", ""), json!({ "join_rule": rule }), auth_events)
    }

    pub(crate) fn topic(&mut self, name: &str, sender: &str, auth_events: &[&str]) -> &mut RoomEvent {
        self.add(name, (sender, "m.room.topic", ""), json!({ "topic": name }), auth_events)
    }

    /// The levels of Alice that the version allows to be written down.
    pub(crate) fn users(&self, others: Value) -> Value {
        let mut users = others;
        if !self.version.rules().authorization.explicitly_privilege_room_creators {
            users[ALICE] = json!(100);
        }
        users
    }

    /// The state that these events are.
    pub(crate) fn state(&self, names: &[&str]) -> StateMap {
        let event = |name: &&str| &self.events[&format!("${name}")];
        names
            .iter()
            .map(event)
            .map(|event| (event.state_map_key().unwrap(), event.event_id.clone()))
            .collect()
    }

    /// Has the source answer with the generations, too.
    pub(crate) fn knows_generations(mut self) -> Self {
        while self.generations.len() < self.events.len() {
            for event in self.events.values() {
                let below: Option<Vec<u64>> =
                    event.auth_events.iter().map(|id| self.generations.get(id).copied()).collect();
                if let Some(below) = below {
                    self.generations.insert(event.event_id.clone(), generation_above(below));
                }
            }
        }
        self
    }

    pub(crate) fn try_resolve<'a>(
        &'a self,
        states: &[StateMap],
        budget: &ResolveBudget,
    ) -> Result<Resolution<'a, String>, ResolveError<String>> {
        resolve(self.version, &PlainForks::new(states), self, budget)
    }

    pub(crate) fn resolve<'a>(&'a self, forks: &[&[&str]]) -> Outcome<'a> {
        let states: Vec<StateMap> = forks.iter().map(|names| self.state(names)).collect();
        let resolution = self.try_resolve(&states, &ResolveBudget::UNLIMITED).unwrap();
        let state = crate::shapes::plain_state(&PlainForks::new(&states), &resolution);
        Outcome { state, resolution }
    }
}

impl EventSource for Dag {
    type Id = String;

    fn event(&self, id: &String) -> Option<EventView<'_, String>> {
        self.events.get(id).map(RoomEvent::view)
    }

    fn generation(&self, id: &String) -> Option<u64> {
        self.generations.get(id).copied()
    }
}

pub(crate) struct Outcome<'a> {
    pub(crate) state: StateMap,
    pub(crate) resolution: Resolution<'a, String>,
}

impl<'a> Outcome<'a> {
    /// The name of the event that the state has.
    pub(crate) fn at(&self, event_type: &str, state_key: &str) -> Option<&str> {
        self.state.get(&(event_type.to_owned(), state_key.to_owned())).map(|id| &id[1..])
    }

    pub(crate) fn member(&self, user: &str) -> Option<&str> {
        self.at("m.room.member", user)
    }

    pub(crate) fn step(&self, name: &str) -> &Step<'a, String> {
        self.resolution.steps.iter().find(|step| step.event_id[1..] == *name).unwrap()
    }

    pub(crate) fn power_order(&self) -> Vec<&str> {
        self.resolution.power_order().map(|step| &step.event_id[1..]).collect()
    }

    pub(crate) fn mainline_order(&self) -> Vec<&str> {
        self.resolution.mainline_order().map(|step| &step.event_id[1..]).collect()
    }

    pub(crate) fn difference(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.resolution.auth_difference().map(|step| &step.event_id[1..]).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn dropped(&self) -> Vec<&str> {
        self.resolution.dropped().map(|step| &step.event_id[1..]).collect()
    }
}
