//! What holds of every resolution, over generated rooms and over graphs that make no sense.

use std::{cell::RefCell, collections::BTreeSet};

use crate::dag::{ALICE, BOB, Dag};
use freehold_event::{EventSource, EventView, RoomVersion};
use freehold_state_res::{PlainForks, ResolveBudget, ResolveError, Step, resolve};
use freehold_testkit::{
    Events, GenerateConfig, MemoryEvents, RoomEvent, StateMap, generate,
    twin::{self, Differences},
};
use proptest::prelude::*;
use serde_json::json;

use crate::shapes::plain_state;

fn resolved<'a>(
    version: &'static RoomVersion,
    events: &'a Events,
    states: &[StateMap],
) -> (StateMap, Vec<Step<'a, String>>) {
    let source = MemoryEvents(events);
    let forks = PlainForks::new(states);
    let resolution = resolve(version, &forks, &source, &ResolveBudget::UNLIMITED).unwrap();
    let steps = resolution.steps.iter().map(|step| Step {
        event: &events[step.event].event_id,
        event_id: &events[step.event].event_id,
        ..step.clone()
    });
    (plain_state(&forks, &resolution), steps.collect())
}

/// A source that has only what was fetched, as before an asynchronous store.
struct Fetched<'a> {
    store: &'a Events,
    here: BTreeSet<String>,
    asked_twice: RefCell<bool>,
}

impl Fetched<'_> {
    fn fetch(&mut self, ids: Vec<String>) {
        for id in ids {
            *self.asked_twice.get_mut() |= !self.here.insert(id);
        }
    }
}

impl EventSource for Fetched<'_> {
    type Id = String;

    fn event(&self, id: &String) -> Option<EventView<'_, String>> {
        self.here.contains(id).then(|| self.store.get(id).map(RoomEvent::view)).flatten()
    }
}

/// Fetches what is missing until nothing is, and resolves.
fn resolved_in_rounds(
    version: &'static RoomVersion,
    events: &Events,
    states: &[StateMap],
) -> (StateMap, usize) {
    let mut source = Fetched { store: events, here: BTreeSet::new(), asked_twice: RefCell::new(false) };
    let forks = PlainForks::new(states);
    for round in 0.. {
        let missing = match resolve(version, &forks, &source, &ResolveBudget::UNLIMITED) {
            Ok(resolution) => {
                let state = forks.state(&resolution).into_iter();
                let state = state.map(|((kind, key), id)| ((kind.to_owned(), key.to_owned()), id.clone()));
                return (state.collect(), round);
            }
            Err(ResolveError::MissingEvents { events }) => events,
            Err(error) => panic!("{error}"),
        };
        source.fetch(missing);
        assert!(!*source.asked_twice.borrow(), "what was fetched was asked for again");
    }
    unreachable!("the loop ends when all is there")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_repetition_of_forks_and_batches_of_fetching_change_nothing(
        seed: u64,
        version in 0..12_usize,
        turn in 0..5_usize,
    ) {
        let version = RoomVersion::ALL[version];
        let config = GenerateConfig { version: Some(version), forks: 4, events: 40, ..GenerateConfig::default() };
        let room = generate(seed, &config);
        let forks = room.forks;
        let (state, steps) = resolved(version, &room.events, &forks);

        let mut turned = forks.clone();
        turned.rotate_left(turn % forks.len());
        prop_assert_eq!(&resolved(version, &room.events, &turned), &(state.clone(), steps.clone()));
        turned.reverse();
        prop_assert_eq!(&resolved(version, &room.events, &turned), &(state.clone(), steps.clone()));
        turned.extend(forks.iter().cloned().cycle().take(70));
        prop_assert_eq!(&resolved(version, &room.events, &turned), &(state.clone(), steps));

        prop_assert_eq!(&resolved_in_rounds(version, &room.events, &forks).0, &state);

        let keys: BTreeSet<_> = forks.iter().flat_map(StateMap::keys).collect();
        prop_assert!(state.keys().all(|key| keys.contains(key)));
        for fork in forks {
            prop_assert_eq!(resolved(version, &room.events, std::slice::from_ref(&fork)), (fork, vec![]));
        }
    }
}

/// A graph without sense: random events of random types that cite random earlier ones.
fn senseless(version: &'static RoomVersion, picks: &[(u8, u8, Vec<u8>)]) -> Dag {
    let mut dag = Dag::new(version);
    dag.member("e0", ALICE, "join", &[]);
    for (number, (kind, ts, cited)) in (1..).zip(picks) {
        let names: BTreeSet<String> =
            cited.iter().map(|pick| format!("e{}", *pick as usize % number)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = format!("e{number}");
        let sender = if ts % 3 == 0 { BOB } else { ALICE };
        let event = match kind % 7 {
            0 => dag.levels(&name, sender, json!({ BOB: ts % 4 }), &names),
            1 => dag.rule(&name, sender, if ts % 2 == 0 { "public" } else { "invite" }, &names),
            2 => dag.member(&name, BOB, "join", &names),
            3 => dag.add(&name, (sender, "m.room.member", BOB), json!({ "membership": "leave" }), &names),
            4 => dag.member(&name, ALICE, "join", &names),
            5 => dag.topic(&name, sender, &names),
            _ => dag.add(&name, (sender, "m.other", &format!("{}", ts % 5)), json!({}), &names),
        };
        event.origin_server_ts = i64::from(*ts % 8);
    }
    dag
}

/// For each fork: which of the events that share a key it has, if any.
fn forks_of(dag: &Dag, choices: &[Vec<u8>]) -> Vec<StateMap> {
    let keys: BTreeSet<_> = dag.events.values().filter_map(RoomEvent::state_map_key).collect();
    let fork = |choices: &Vec<u8>| {
        let mut choices = choices.iter().copied().cycle();
        let mut state = StateMap::new();
        for key in &keys {
            let events: Vec<&RoomEvent> =
                dag.events.values().filter(|event| event.is_state(&key.0, &key.1)).collect();
            let choice = choices.next().unwrap_or(0) as usize;
            // Mostly the first, so that much is unconflicted; and every state has a create event.
            let is_first = choice < 150 || key.0 == "m.room.create";
            let position = if is_first { 0 } else { choice % (events.len() + 1) };
            if let Some(event) = events.get(position) {
                state.insert(key.clone(), event.event_id.clone());
            }
        }
        state
    };
    choices.iter().map(fork).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// The auth difference and the conflicted state subgraph are the specification's, whatever the
    /// graph looks like, and whether generations are known or not.
    #[test]
    fn senseless_graphs_resolve_as_the_twin_does(
        picks in prop::collection::vec((any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..4)), 4..40),
        choices in prop::collection::vec(prop::collection::vec(any::<u8>(), 12), 2..5),
        version in prop::sample::select(vec![RoomVersion::V1, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12]),
    ) {
        let dag = senseless(version, &picks);
        let states = forks_of(&dag, &choices);
        let twin = twin::resolve(&Differences::of(version.id()).unwrap(), &states, &dag.events);
        let check = |dag: &Dag| {
            let ours = dag.try_resolve(&states, &ResolveBudget::UNLIMITED).unwrap();
            let full: BTreeSet<String> = ours.steps.iter().map(|step| step.event_id.to_owned()).collect();
            assert_eq!(full, twin.full_conflicted_set);
            assert_eq!(ours.power_order().map(|step| step.event_id).collect::<Vec<_>>(), twin.power_order);
            assert_eq!(ours.mainline_order().map(|step| step.event_id).collect::<Vec<_>>(), twin.mainline_order);
            assert_eq!(plain_state(&PlainForks::new(&states), &ours), twin.state);
            let indexed = crate::shapes::Indexed::new(&dag.events);
            assert_eq!(indexed.resolve_snapshots(dag.version, &states), twin.state);
        };
        check(&dag);
        check(&dag.knows_generations());
    }
}
