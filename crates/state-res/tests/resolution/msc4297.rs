//! The two problems of [MSC4297](https://github.com/matrix-org/matrix-spec-proposals/pull/4297):
//! what 2.0 does wrong, and that 2.1 does not.

use crate::dag::{ALICE, BOB, CHARLIE, Dag, EVE, ZARA};
use freehold_event::RoomVersion;
use serde_json::json;

/// Alice closes the room and leaves; then Bob and Charlie, who have not heard of each other's,
/// change their names, and each has an old view of the rest:
///
/// ```text
///            create <- alice <- PL <- JR <----------- bob, charlie
///                        ^       ^                        ^
///                        +-- JR2 (invite)                 |
///                        +-- alice2 (leave)               |
///                              bob2, charlie2 ------------+   cite JR2
///
/// Bob's state:     create  PL  JR2  alice2  bob2  charlie
/// Charlie's state: create  PL  JR   alice2  bob   charlie2
/// ```
///
/// JR2 is in conflict and is checked in a state in which Alice has left already.
fn problem_a(version: &'static RoomVersion) -> Dag {
    let mut dag = Dag::founded(version, json!({}));
    dag.rule("JR2", ALICE, "invite", &["PL", "alice"]);
    dag.member("alice2", ALICE, "leave", &["PL", "alice"]);
    dag.member("bob2", BOB, "join", &["PL", "bob", "JR2"]);
    dag.member("charlie2", CHARLIE, "join", &["PL", "charlie", "JR2"]);
    dag
}

const STATE_OF_BOB: &[&str] = &["create", "PL", "JR2", "alice2", "bob2", "charlie"];
const STATE_OF_CHARLIE: &[&str] = &["create", "PL", "JR", "alice2", "bob", "charlie2"];

#[test]
fn problem_a_loses_the_join_rules_in_2_0() {
    let dag = problem_a(RoomVersion::V11);
    let outcome = dag.resolve(&[STATE_OF_BOB, STATE_OF_CHARLIE]);
    assert_eq!(outcome.at("m.room.join_rules", ""), None);
    assert_eq!(outcome.state, dag.state(&["create", "PL", "alice2", "bob2", "charlie2"]));
    assert_eq!(outcome.dropped(), ["JR", "JR2"]);
}

#[test]
fn problem_a_keeps_the_join_rules_in_2_1() {
    let dag = problem_a(RoomVersion::V12);
    let outcome = dag.resolve(&[STATE_OF_BOB, STATE_OF_CHARLIE]);
    assert_eq!(outcome.state, dag.state(&["create", "PL", "JR2", "alice2", "bob2", "charlie2"]));
    // The room is closed by then; who changes his name is joined by his own auth events.
    assert_eq!(outcome.dropped(), ["bob", "charlie"]);
}

/// Alice gives Bob power, Bob gives some to Charlie; later Eve changes her name, citing the last
/// power levels, and her server believes that the first ones are still in force:
///
/// ```text
/// create <- alice <- PL <-------------- PL2 <- PL3
///                     ^                         ^
///                     +- JR, bob, charlie       +- zara, eve <- eve2
///
/// Eve's state:  ... PL  eve2
/// Zara's state: ... PL3 zara
/// ```
///
/// PL and PL3 are in conflict; PL2 is in the auth chain of both states, so not in the auth
/// difference, and PL3 cannot be had without it.
fn problem_b(version: &'static RoomVersion) -> Dag {
    let mut dag = Dag::founded(version, json!({}));
    let users = dag.users(json!({ BOB: 50 }));
    dag.levels("PL2", ALICE, users, &["PL", "alice"]);
    let users = dag.users(json!({ BOB: 50, CHARLIE: 50 }));
    dag.levels("PL3", BOB, users, &["PL2", "bob"]);
    dag.member("zara", ZARA, "join", &["PL3", "JR"]);
    dag.member("eve", EVE, "join", &["PL3", "JR"]);
    dag.member("eve2", EVE, "join", &["PL3", "eve", "JR"]);
    dag
}

const STATE_OF_EVE: &[&str] = &["create", "alice", "PL", "JR", "bob", "charlie", "eve2"];
const STATE_OF_ZARA: &[&str] = &["create", "alice", "PL3", "JR", "bob", "charlie", "zara"];

#[test]
fn problem_b_resets_the_power_levels_in_2_0() {
    let dag = problem_b(RoomVersion::V11);
    let outcome = dag.resolve(&[STATE_OF_EVE, STATE_OF_ZARA]);
    let expected = dag.state(&["create", "alice", "PL", "JR", "bob", "charlie", "eve2", "zara"]);
    assert_eq!(outcome.state, expected);
    assert_eq!(outcome.difference(), ["eve"]);
    assert_eq!(outcome.dropped(), ["PL3"]);
}

#[test]
fn problem_b_keeps_the_power_levels_in_2_1() {
    let dag = problem_b(RoomVersion::V12);
    let outcome = dag.resolve(&[STATE_OF_EVE, STATE_OF_ZARA]);
    let expected = dag.state(&["create", "alice", "PL3", "JR", "bob", "charlie", "eve2", "zara"]);
    assert_eq!(outcome.state, expected);
    let subgraph: Vec<&str> = outcome.resolution.subgraph().map(|step| step.event_id).collect();
    assert!(subgraph.contains(&"$PL2"), "{subgraph:?}");
    assert_eq!(outcome.power_order().iter().filter(|name| name.starts_with("PL")).count(), 3);
}
