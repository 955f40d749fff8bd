//! The two problems of MSC4297, "State Resolution v2.1", rebuilt with our builders
//! (<https://github.com/matrix-org/matrix-spec-proposals/pull/4297>; CVE-2025-49090).
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use freehold_event::RoomVersion;
use freehold_spec_tests::{RumaRoom, resolve};
use freehold_testkit::{
    Draft, RoomBuilder, StateMap,
    twin::{self, Differences},
};
use serde_json::json;

const ALICE: &str = "@alice:one.example";
const BOB: &str = "@bob:two.example";
const CHARLIE: &str = "@charlie:three.example";
const EVE: &str = "@eve:four.example";
const ZARA: &str = "@zara:five.example";

/// A public room that Alice made and Bob and Charlie joined.
fn public_room(version: &'static RoomVersion) -> RoomBuilder {
    let mut room = RoomBuilder::new(version, 4297);
    room.create(ALICE, json!({}));
    room.send(Draft::member(ALICE, ALICE, "join"));
    room.send(levels(version, ALICE, &[]));
    room.send(Draft::state(ALICE, "m.room.join_rules", "", json!({ "join_rule": "public" })));
    room.send(Draft::member(BOB, BOB, "join"));
    room.send(Draft::member(CHARLIE, CHARLIE, "join"));
    room
}

/// Power levels that name the moderators, and Alice where she has to be named.
fn levels(version: &'static RoomVersion, sender: &str, moderators: &[&str]) -> Draft {
    let creators = version.rules().authorization.explicitly_privilege_room_creators;
    let mut users = serde_json::Map::new();
    if !creators {
        users.insert(ALICE.to_owned(), json!(100));
    }
    users.extend(moderators.iter().map(|user| ((*user).to_owned(), json!(50))));
    Draft::state(sender, "m.room.power_levels", "", json!({ "users": users }))
}

fn profile(user: &str, name: &str) -> Draft {
    Draft::state(user, "m.room.member", user, json!({ "membership": "join", "displayname": name }))
}

fn key(event_type: &str, state_key: &str) -> (String, String) {
    (event_type.to_owned(), state_key.to_owned())
}

/// What everybody makes of the states; they must agree.
fn resolved(room: &RoomBuilder, states: &[StateMap]) -> StateMap {
    let version = room.version();
    let differences = Differences::of(version.id()).unwrap();
    let twin = twin::resolve(&differences, states, room.events()).state;
    let ruma = RumaRoom::new(version, room.events()).unwrap();
    assert_eq!(ruma.resolve(states, room.events()).unwrap(), twin);
    assert_eq!(resolve(version, states, room.events()).unwrap(), twin);
    twin
}

/// Alice closes the room and leaves. Bob's server has both; Charlie's lost the new join rule to an
/// earlier reset. That Alice left is in both states, so it is unconflicted.
fn problem_a(version: &'static RoomVersion) -> (RoomBuilder, [String; 2], StateMap) {
    let mut room = public_room(version);
    let open = room.state()[&key("m.room.join_rules", "")].clone();
    let (closed, _) =
        room.send(Draft::state(ALICE, "m.room.join_rules", "", json!({ "join_rule": "invite" })));
    let (left, _) = room.send(Draft::member(ALICE, ALICE, "leave"));
    let before = room.state_after(&left);
    let (bob, _) = room.send(profile(BOB, "bob++").after(std::slice::from_ref(&left)));
    let (charlie, _) = room.send(profile(CHARLIE, "charlie++").after(std::slice::from_ref(&left)));
    let state_of_bob = room.state_after(&bob);
    let mut state_of_charlie = before;
    state_of_charlie.insert(key("m.room.member", CHARLIE), charlie);
    state_of_charlie.insert(key("m.room.join_rules", ""), open.clone());
    let state = resolved(&room, &[state_of_bob, state_of_charlie]);
    (room, [open, closed], state)
}

#[test]
fn problem_a_loses_the_join_rule_in_version_11() {
    let (_, _, state) = problem_a(RoomVersion::V11);
    assert_eq!(state.get(&key("m.room.join_rules", "")), None);
}

#[test]
fn problem_a_is_solved_in_version_12() {
    let (_, [_, closed], state) = problem_a(RoomVersion::V12);
    assert_eq!(state[&key("m.room.join_rules", "")], closed);
    assert!(state.contains_key(&key("m.room.member", BOB)));
}

/// Alice makes Bob a moderator, Bob does so with Charlie; then Eve and Zara join. Eve's server lost
/// both changes of the power levels to an earlier reset. The change by Alice is in the auth chain of
/// both states, so it is not in the auth difference; the change by Bob hangs on it.
fn problem_b(version: &'static RoomVersion) -> (RoomBuilder, [String; 2], StateMap) {
    let mut room = public_room(version);
    let first = room.state()[&key("m.room.power_levels", "")].clone();
    room.send(levels(version, ALICE, &[BOB]));
    let (last, _) = room.send(levels(version, BOB, &[BOB, CHARLIE]));
    let (zara, _) = room.send(Draft::member(ZARA, ZARA, "join").after(std::slice::from_ref(&last)));
    let (eve, _) = room.send(Draft::member(EVE, EVE, "join").after(std::slice::from_ref(&last)));
    let (eve, _) = room.send(profile(EVE, "eve++").after(&[eve]));
    let state_of_zara = room.state_after(&zara);
    let mut state_of_eve = room.state_after(&eve);
    state_of_eve.insert(key("m.room.power_levels", ""), first.clone());
    let state = resolved(&room, &[state_of_eve, state_of_zara]);
    (room, [first, last], state)
}

#[test]
fn problem_b_resets_the_power_levels_in_version_11() {
    let (_, [first, _], state) = problem_b(RoomVersion::V11);
    assert_eq!(state[&key("m.room.power_levels", "")], first);
}

#[test]
fn problem_b_is_solved_in_version_12() {
    let (_, [_, last], state) = problem_b(RoomVersion::V12);
    assert_eq!(state[&key("m.room.power_levels", "")], last);
}
