//! The keys of many servers at once.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at what it did not expect"
)]

use std::collections::BTreeMap;

use freehold_keyring::{
    Action, FetchFailure, FetchId, FetchPolicy, FetchRequest, Needed, Notary, Outcome, RemoteKeys, Route,
    Want,
};
use freehold_signing::{KeyId, KeySource};
use ruma_common::{OwnedServerName, ServerName};
use world::{HOUR, NOW, Origin, World, key_id, name};

#[path = "support/world.rs"]
mod world;

fn want<'a>(server: &'a ServerName, key_id: &'a KeyId, minimum_valid_until_ts: i64) -> Want<'a> {
    Want { server, key_id: Some(key_id), minimum_valid_until_ts, route: Route::Any }
}

#[test]
fn for_keys_of_many_servers_the_notaries_come_before_the_servers() {
    let mut world = World::new(2);
    let (server, a, b) = (name("a.example"), key_id("a"), key_id("b"));
    let first = |key_id| Want { route: Route::NotariesFirst, ..want(&server, key_id, 0) };
    world.add(Origin::new("a.example").key("a", 1));
    world.machine.need(first(&a), NOW);
    world.run(NOW);
    world.run(NOW + 50);
    assert_eq!(world.asked, ["load a.example", "query n0.example a.example"]);
    assert_eq!(world.woken.len(), 1);
    assert!(world.machine.key(&server, &a).is_some());
    // What no notary has, the server is asked for, and nobody twice.
    let Needed::Waiting(wait) = world.machine.need(first(&b), NOW + HOUR) else { panic!() };
    for now in [0, 50, 100, 150, 200] {
        world.run(NOW + HOUR + now);
    }
    let expected = ["query n0.example a.example", "query n1.example a.example", "get a.example"];
    assert_eq!(world.asked[2..], expected);
    assert_eq!(world.woken[1..], [(wait, Outcome::Missing)]);
}

#[test]
fn a_notary_is_asked_for_its_own_keys_itself_whoever_else_is_asked_for_with_it() {
    let mut world = World::new(0);
    let notaries = vec![Notary { server_name: name("n0.example"), keys: BTreeMap::new() }];
    world.machine = RemoteKeys::new(FetchPolicy::default(), notaries);
    let (server, notary) = (name("a.example"), name("n0.example"));
    world.add(Origin::new("a.example").key("a", 1));
    world.add(Origin::new("n0.example").key("n", 100));
    for (server, key_id) in [(&server, key_id("a")), (&notary, key_id("n"))] {
        world.machine.need(Want { route: Route::NotariesFirst, ..want(server, &key_id, 0) }, NOW);
    }
    for now in [NOW, NOW + 50, NOW + 51] {
        world.run(now);
    }
    let expected = ["load a.example", "load n0.example", "get n0.example", "query n0.example a.example"];
    assert_eq!(world.asked, expected);
    assert_eq!(world.woken.len(), 2);
}

#[test]
fn a_notary_whose_keys_cannot_be_read_is_left_alone_for_a_while() {
    let notaries = vec![Notary { server_name: name("n0.example"), keys: BTreeMap::new() }];
    let mut machine = RemoteKeys::new(FetchPolicy::default(), notaries);
    let (server, a) = (name("a.example"), key_id("a"));
    machine.need(Want { route: Route::NotariesFirst, ..want(&server, &a, 0) }, NOW);
    let (mut loads, mut outcomes) = (0, Vec::new());
    for _ in 0..1_000 {
        match machine.poll(NOW + 50) {
            Some(Action::Load { server: asked }) if asked == server => {
                machine.loaded(&asked, Ok(None), NOW);
            }
            Some(Action::Load { server: notary }) => {
                loads += 1;
                machine.loaded(&notary, Err(FetchFailure), NOW + 50);
            }
            Some(Action::Fetch { id, .. }) => machine.fetched(id, Err(FetchFailure), NOW + 50),
            Some(Action::Wake { outcome, .. }) => outcomes.push(outcome),
            Some(Action::Save { .. } | Action::Report(_)) | None => {}
        }
    }
    assert_eq!(loads, 1);
    assert_eq!(outcomes, [Outcome::Missing]);
}

#[test]
fn whoever_invents_servers_holds_up_none_that_is_known() {
    let policy =
        FetchPolicy { servers_max: 20, strangers_max: 5, in_flight_max: 2, ..FetchPolicy::default() };
    let mut world = World::new(0);
    world.add(Origin::new("known.example").key("a", 1));
    let (known, a, b) = (name("known.example"), key_id("a"), key_id("b"));
    world.machine.need(want(&known, &a, 0), NOW);
    world.run(NOW);
    let mut machine = RemoteKeys::new(policy, vec![]);
    let (mut fetches, mut missing) = (Vec::new(), 0);
    let mut poll = |machine: &mut RemoteKeys, fetches: &mut Vec<(FetchId, OwnedServerName)>| {
        while let Some(action) = machine.poll(NOW) {
            match action {
                Action::Load { server } => {
                    let record = world.saved.get(&server).map(Vec::as_slice);
                    machine.loaded(&server, Ok(record), NOW);
                }
                Action::Fetch { id, request: FetchRequest::Server { server } } => fetches.push((id, server)),
                Action::Wake { outcome: Outcome::Missing, .. } => missing += 1,
                other => panic!("{other:?}"),
            }
        }
    };
    for index in 0..100 {
        let invented = name(&format!("s{index}.example"));
        assert!(matches!(machine.need(want(&invented, &a, 0), NOW), Needed::Waiting(_)));
        poll(&mut machine, &mut fetches);
    }
    assert_eq!(fetches.len(), 2);
    assert_eq!(machine.usage().servers, 7, "two are asked, and five wait");
    // A new key of a server that is known is asked for next.
    assert!(matches!(machine.need(want(&known, &b, 0), NOW), Needed::Waiting(_)));
    poll(&mut machine, &mut fetches);
    assert!(machine.key(&known, &a).is_some());
    machine.fetched(fetches[0].0, Err(FetchFailure), NOW);
    poll(&mut machine, &mut fetches);
    assert_eq!(fetches[2].1, known);
    assert_eq!(missing, 100 - 7 + 1);
}
