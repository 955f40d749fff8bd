//! Resolution equals the naive twin's, over generated rooms and however it is asked.

use std::collections::{BTreeSet, HashMap};

use freehold_event::RoomVersion;
use freehold_state_res::{Outcome, PlainForks, Resolution, ResolveBudget, Step, resolve};
use freehold_testkit::{
    GenerateConfig, MemoryEvents, Room, StateMap, generate,
    twin::{self, Differences},
};
use proptest::prelude::*;

use crate::shapes::{Indexed, plain_state};

fn ids<'a>(steps: impl Iterator<Item = &'a Step<'a, String>>) -> Vec<&'a str> {
    steps.map(|step| step.event_id).collect()
}

/// What was refused, in the order it was tried.
fn refused<'a>(resolution: &'a Resolution<'_, String>) -> Vec<&'a str> {
    let refused = resolution.steps.iter().filter(|step| {
        matches!(step.outcome, Outcome::Denied(_) | Outcome::LastResort(_) | Outcome::Rejected(_))
    });
    refused.map(|step| step.event_id).collect()
}

/// Resolves these states of the room in every way there is, and holds each against the twin.
fn compare(room: &Room, states: &[StateMap]) {
    let source = MemoryEvents(&room.events);
    let forks = PlainForks::new(states);
    let ours = resolve(room.version, &forks, &source, &ResolveBudget::default()).unwrap();
    let twin = twin::resolve(&Differences::of(room.version.id()).unwrap(), states, &room.events);

    let full: BTreeSet<String> = ours.steps.iter().map(|step| step.event_id.to_owned()).collect();
    assert_eq!(full, twin.full_conflicted_set, "full conflicted set");
    assert_eq!(ids(ours.power_order()), twin.power_order, "power order");
    assert_eq!(ids(ours.mainline_order()), twin.mainline_order, "mainline order");
    let twin_refused: Vec<&str> = twin.dropped.iter().map(|dropped| dropped.event_id.as_str()).collect();
    assert_eq!(refused(&ours), twin_refused, "what was refused");
    let state = plain_state(&forks, &ours);
    assert_eq!(state, twin.state, "state");

    let hashed: Vec<HashMap<_, _>> = states.iter().map(|state| state.clone().into_iter().collect()).collect();
    let hashed = PlainForks::new(&hashed);
    let again = resolve(room.version, &hashed, &source, &ResolveBudget::default()).unwrap();
    assert_eq!((plain_state(&hashed, &again), again.steps), (state.clone(), ours.steps), "from hash maps");
    let indexed = Indexed::new(&room.events);
    assert_eq!(indexed.resolve_plain(room.version, states), state, "with generations");
    assert_eq!(indexed.resolve_snapshots(room.version, states), state, "from snapshots");
}

fn check_room(seed: u64, version: &'static RoomVersion, forks: usize) {
    let config = GenerateConfig { version: Some(version), forks, events: 40, ..GenerateConfig::default() };
    let room = generate(seed, &config);
    for states in room.resolutions() {
        compare(&room, &states);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn resolution_equals_the_naive_twins(seed: u64, version in 0..12_usize, forks in 2..6_usize) {
        check_room(seed, RoomVersion::ALL[version], forks);
    }
}

#[test]
fn every_version_equals_the_naive_twin() {
    for version in RoomVersion::ALL {
        for seed in 0..4 {
            check_room(seed, version, 3);
        }
    }
}
