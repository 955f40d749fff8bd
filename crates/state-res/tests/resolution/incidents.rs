//! What went wrong in other implementations, each as a test. The names in the comments are those of
//! the advisories and changes.

use crate::dag::{ALICE, BOB, CHARLIE, Dag, EVE, ZARA};
use freehold_event::RoomVersion;
use freehold_event_auth::Power;
use freehold_state_res::{BudgetLine, Order, Outcome, ResolveBudget, ResolveError};
use serde_json::json;

fn founded(version: &'static RoomVersion) -> Dag {
    Dag::founded(version, json!({ BOB: 50, CHARLIE: 50 }))
}

const FOUNDED: [&str; 6] = ["create", "alice", "PL", "JR", "bob", "charlie"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    FOUNDED.into_iter().chain(more.iter().copied()).collect()
}

/// ruma-state-res 0.14: an event without power levels behind it stood beside those on the oldest
/// power levels of the mainline; it comes before them, whatever its timestamp.
///
/// ```text
/// create <- alice <-+- PL <- topic1 (ts 1)
///                   +- topic2 (ts 9, cites no power levels)
/// ```
#[test]
fn no_power_levels_behind_is_earlier_than_the_oldest_power_levels() {
    let mut dag = founded(RoomVersion::V11);
    dag.topic("topic1", ALICE, &["alice", "PL"]).origin_server_ts = 1;
    dag.topic("topic2", ALICE, &["alice"]).origin_server_ts = 9;
    let outcome = dag.resolve(&[&with(&["topic1"]), &with(&["topic2"])]);
    assert_eq!(outcome.mainline_order(), ["topic2", "topic1"]);
    assert_eq!(outcome.step("topic2").order, Order::Mainline { position: None });
    assert_eq!(outcome.step("topic1").order, Order::Mainline { position: Some(0) });
    assert_eq!(outcome.at("m.room.topic", ""), Some("topic1"));
}

/// ruma-state-res 0.13 and before: an event that the rules deny, or whose content nobody can read,
/// made the whole resolution fail.
#[test]
fn an_event_that_is_denied_is_dropped_and_the_rest_resolved() {
    for version in [RoomVersion::V2, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12] {
        let mut dag = founded(version);
        dag.add("odd", (ALICE, "m.room.member", ZARA), json!({ "membership": 7 }), &["alice", "PL"]);
        dag.add("ill", (BOB, "m.room.power_levels", ""), json!({ "users": [] }), &["bob", "PL"]);
        dag.topic("topic", BOB, &["bob", "PL"]);
        dag.topic("stranger", EVE, &["PL"]);
        let outcome = dag.resolve(&[&with(&["odd", "topic"]), &{
            let mut other: Vec<&str> = with(&["ill", "stranger"]);
            other.retain(|name| *name != "PL");
            other
        }]);
        assert_eq!(outcome.at("m.room.topic", ""), Some("topic"), "{version}");
        assert_eq!(outcome.at("m.room.power_levels", ""), Some("PL"), "{version}");
        assert_eq!(outcome.member(ZARA), None, "{version}");
        let mut dropped = outcome.dropped();
        dropped.sort_unstable();
        assert_eq!(dropped, ["ill", "odd", "stranger"], "{version}");
    }
}

/// ruma-state-res 0.9: of two events that are alike in power and time, the one with the smaller
/// event id comes first.
#[test]
fn ties_are_broken_by_event_id() {
    let mut dag = founded(RoomVersion::V11);
    for (name, user) in [("y", ZARA), ("x", EVE)] {
        let ban = json!({ "membership": "ban" });
        dag.add(name, (ALICE, "m.room.member", user), ban, &["alice", "PL"]).origin_server_ts = 50;
        dag.topic(&format!("topic-{name}"), ALICE, &["alice", "PL"]).origin_server_ts = 60;
    }
    let outcome = dag.resolve(&[&with(&["y", "topic-x"]), &with(&["x", "topic-y"])]);
    assert_eq!(outcome.power_order(), ["x", "y"]);
    assert_eq!(outcome.mainline_order(), ["topic-x", "topic-y"]);
    assert_eq!(outcome.at("m.room.topic", ""), Some("topic-y"));
}

/// A timestamp decides before an event id does.
#[test]
fn ties_of_power_are_broken_by_time_before_event_id() {
    let mut dag = founded(RoomVersion::V11);
    for (name, user, ts) in [("a", ZARA, 9), ("z", EVE, 8)] {
        let ban = json!({ "membership": "ban" });
        dag.add(name, (ALICE, "m.room.member", user), ban, &["alice", "PL"]).origin_server_ts = ts;
    }
    let outcome = dag.resolve(&[&with(&["a"]), &with(&["z"])]);
    assert_eq!(outcome.power_order(), ["z", "a"]);
}

/// tuwunel c244cc3cc: the power of a sender did not consider the create event. Without power
/// levels the creator has 100, in version 12 more than anybody has by power levels.
///
/// ```text
/// create <- alice <-+- JR <- bob
///                   +- ban-by-alice (ts 9), no power levels cited
/// ```
#[test]
fn power_of_a_sender_considers_the_create_event() {
    for (version, expected) in [
        (RoomVersion::V6, Power::Level(100)),
        (RoomVersion::V11, Power::Level(100)),
        (RoomVersion::V12, Power::Infinite),
    ] {
        let mut dag = Dag::new(version);
        dag.member("alice", ALICE, "join", &[]);
        dag.rule("JR", ALICE, "public", &["alice"]);
        dag.member("bob", BOB, "join", &["JR"]);
        let ban = json!({ "membership": "ban" });
        dag.add("by-bob", (BOB, "m.room.member", EVE), ban.clone(), &["bob"]).origin_server_ts = 1;
        dag.add("by-alice", (ALICE, "m.room.member", ZARA), ban, &["alice"]).origin_server_ts = 9;
        let common = ["create", "alice", "JR", "bob"];
        let (one, two) = ([&common[..], &["by-bob"]].concat(), [&common[..], &["by-alice"]].concat());
        let outcome = dag.resolve(&[&one, &two]);
        assert_eq!(outcome.power_order()[..1], ["by-alice"], "{version}");
        assert_eq!(outcome.step("by-alice").order, Order::Power { sender: expected }, "{version}");
        assert_eq!(outcome.step("by-bob").order, Order::Power { sender: Power::Level(0) }, "{version}");
    }
}

/// gomatrixserverlib 58af9a2: an auth event that was rejected was used all the same.
///
/// ```text
/// PL, JR <- zara (a join that was rejected) <- zaras, own: sent by somebody without a membership
/// ```
#[test]
fn a_rejected_auth_event_is_not_fallen_back_on() {
    let mut dag = founded(RoomVersion::V11);
    dag.member("zara", ZARA, "join", &["PL", "JR"]).rejected = true;
    dag.add("zaras", (ZARA, "m.zara", ""), json!({}), &["zara", "PL"]);
    dag.add("own", (ZARA, "m.own", ZARA), json!({}), &["zara"]);
    let outcome = dag.resolve(&[&with(&["zaras"]), &with(&["own"])]);
    // The rejected join is in the auth difference of neither: both states reach it.
    assert_eq!(outcome.difference(), [""; 0]);
    assert_eq!(outcome.dropped(), ["own", "zaras"]);
}

/// gomatrixserverlib 16e7431: a membership that the forks do not agree on was not taken from the auth events of the event
/// that needs it, so that who only changed their name was put out of the room.
///
/// ```text
/// PL, JR (public) <- bob <- name (bob, by another name)       JR2 (by invitation only) in both forks
/// ```
#[test]
fn gomatrixserverlib_16e7431_a_membership_is_taken_from_the_auth_events_where_the_state_has_none() {
    for version in [RoomVersion::V2, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12] {
        let mut dag = founded(version);
        dag.rule("JR2", ALICE, "invite", &["alice", "PL"]);
        dag.member("name", BOB, "join", &["bob", "PL", "JR"]);
        let common = ["create", "alice", "PL", "JR2", "charlie"];
        let (one, two) = ([&common[..], &["bob"]].concat(), [&common[..], &["name"]].concat());
        let outcome = dag.resolve(&[&one, &two]);
        assert_eq!(outcome.member(BOB), Some("name"), "{version}");
        assert_eq!(outcome.at("m.room.join_rules", ""), Some("JR2"), "{version}");
    }
}

/// Dendrite 0.14.0 (gomatrixserverlib#443): events that had been rejected were applied when forks were resolved, so that what came after
/// them was judged by them, and rooms lost levels and members.
///
/// ```text
/// PL <-+- coup (Bob takes Alice's level and raises his; rejected) <- kick (of Charlie)
///      +- topic (by Charlie)
/// ```
#[test]
fn dendrite_0_14_0_what_was_rejected_is_not_applied_when_forks_are_resolved() {
    for version in [RoomVersion::V2, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12] {
        let mut dag = founded(version);
        let coup = dag.users(json!({ BOB: 100 }));
        dag.levels("coup", BOB, coup, &["bob", "PL"]).rejected = true;
        let kicked = json!({ "membership": "leave" });
        dag.add("kick", (BOB, "m.room.member", CHARLIE), kicked, &["bob", "coup", "charlie"]);
        dag.topic("topic", CHARLIE, &["charlie", "PL"]);
        let mut theirs = with(&["kick", "coup"]);
        theirs.retain(|name| !["charlie", "PL"].contains(name));
        for forks in [[with(&["topic"]), theirs.clone()], [theirs.clone(), with(&["topic"])]] {
            let outcome = dag.resolve(&[&forks[0], &forks[1]]);
            assert_eq!(outcome.at("m.room.power_levels", ""), Some("PL"), "{version}");
            assert_eq!(outcome.member(CHARLIE), Some("charlie"), "{version}");
            assert_eq!(outcome.at("m.room.topic", ""), Some("topic"), "{version}");
            let mut dropped = outcome.dropped();
            dropped.sort_unstable();
            assert_eq!(dropped, ["coup", "kick"], "{version}");
        }
    }
}

/// CVE-2022-39374: an event that had been rejected for its auth events got into the room's state
/// by way of resolution.
#[test]
fn an_event_rejected_by_its_auth_events_never_enters_the_state() {
    for version in [RoomVersion::V2, RoomVersion::V11, RoomVersion::V12] {
        let mut dag = founded(version);
        // Bob's state allows him to set a topic, but this one cites somebody else's membership.
        dag.topic("forged", BOB, &["charlie", "PL"]).rejected = true;
        dag.topic("topic", BOB, &["bob", "PL"]);
        let outcome = dag.resolve(&[&with(&["forged"]), &with(&[])]);
        assert_eq!(outcome.at("m.room.topic", ""), None, "{version}");
        assert!(matches!(outcome.step("forged").outcome, Outcome::Rejected(_)), "{version}");
        let outcome = dag.resolve(&[&with(&["topic"]), &with(&["forged"])]);
        assert_eq!(outcome.at("m.room.topic", ""), Some("topic"), "{version}");
    }
}

/// "Events that have been rejected due to failing auth based on the state at the event (rather than
/// based on their auth chain) are handled as usual by the algorithm".
#[test]
fn an_event_rejected_by_the_state_before_it_is_handled_as_usual() {
    let mut dag = founded(RoomVersion::V11);
    dag.topic("topic", BOB, &["bob", "PL"]).rejected = true;
    let outcome = dag.resolve(&[&with(&["topic"]), &with(&[])]);
    assert_eq!(outcome.at("m.room.topic", ""), Some("topic"));
}

/// A power-levels event with a state key is none; a stranger who sends one moves nobody's order.
#[test]
fn power_levels_with_a_state_key_are_no_power_event() {
    let mut dag = founded(RoomVersion::V11);
    dag.add("keyed", (ALICE, "m.room.power_levels", "x"), json!({}), &["alice", "PL"]);
    let outcome = dag.resolve(&[&with(&["keyed"]), &with(&[])]);
    assert_eq!(outcome.power_order(), [""; 0]);
    assert_eq!(outcome.mainline_order(), ["keyed"]);
}

/// What the network does where the text can be read in two ways (2.0 only): the auth chain of a
/// power event is followed within the full conflicted set, not through events outside of it.
///
/// ```text
/// bob <------ PL2 <- ban (by Alice)
///   ^
///   +-- bob2 (a new name)
///
/// one:  PL2 bob  ban      two:  PL2 bob2
/// ```
///
/// bob is in conflict and in the auth chain of the ban, but only by way of PL2, which is not.
#[test]
fn power_events_are_enlarged_along_links_of_the_full_conflicted_set() {
    let mut dag = founded(RoomVersion::V11);
    let users = dag.users(json!({ BOB: 100, CHARLIE: 50 }));
    dag.levels("PL1", ALICE, users.clone(), &["alice", "PL"]);
    dag.levels("PL2", BOB, users, &["bob", "PL1"]);
    dag.member("bob2", BOB, "join", &["bob", "PL2", "JR"]);
    dag.add("ban", (ALICE, "m.room.member", EVE), json!({ "membership": "ban" }), &["alice", "PL2"]);
    let common = ["create", "alice", "PL2", "JR", "charlie"];
    let (one, two) = ([&common[..], &["bob", "ban"]].concat(), [&common[..], &["bob2"]].concat());
    let outcome = dag.resolve(&[&one, &two]);
    assert_eq!(outcome.power_order(), ["ban"]);
    assert_eq!(outcome.mainline_order(), ["bob", "bob2"]);
    assert_eq!(outcome.member(BOB), Some("bob2"));
}

/// What the network does where the text, to the letter, says otherwise: an unconflicted event is in
/// no auth difference, even when the conflicted events of only one fork cite it.
///
/// ```text
/// PL <-+- topic-bob (ts 99)
///      +- PL2 (Bob has no power any more) <- topic-alice
///
/// one:  PL2 topic-alice      two:  PL2 topic-bob
/// ```
///
/// Replayed, PL2 would deny Bob's topic in version 12.
#[test]
fn an_unconflicted_event_is_in_no_auth_difference() {
    for (version, winner) in [(RoomVersion::V11, "topic-alice"), (RoomVersion::V12, "topic-bob")] {
        let mut dag = founded(version);
        let users = dag.users(json!({}));
        dag.levels("PL2", ALICE, users, &["alice", "PL"]);
        dag.topic("topic-alice", ALICE, &["alice", "PL2"]);
        dag.topic("topic-bob", BOB, &["bob", "PL"]).origin_server_ts = 99;
        let common = ["create", "alice", "PL2", "JR", "bob", "charlie"];
        let one = [&common[..], &["topic-alice"]].concat();
        let two = [&common[..], &["topic-bob"]].concat();
        for dag in [dag.clone(), dag.knows_generations()] {
            let outcome = dag.resolve(&[&one, &two]);
            assert_eq!(outcome.difference(), [""; 0], "{version}");
            assert_eq!(outcome.at("m.room.topic", ""), Some(winner), "{version}");
        }
    }
}

/// Each level cites every event of the level below: the number of paths is exponential.
///
/// ```text
/// L0 (8 events) <= L1 (8 events) <= ... <= L40
/// ```
fn woven(version: &'static RoomVersion) -> Dag {
    let mut dag = founded(version);
    let mut below: Vec<String> = vec!["alice".to_owned(), "PL".to_owned()];
    for level in 0..40 {
        let names: Vec<String> = (0..8).map(|n| format!("w{level:02}-{n}")).collect();
        for name in &names {
            let cited: Vec<&str> = below.iter().map(String::as_str).collect();
            dag.add(name, (ALICE, "m.woven", name), json!({}), &cited);
        }
        below = names;
    }
    dag
}

/// CVE-2024-31208: crafted auth links made another server's work explode. Here each event and each
/// link is visited once, however many paths there are.
#[test]
fn work_is_bounded_by_links_and_not_by_paths() {
    for version in [RoomVersion::V11, RoomVersion::V12] {
        for dag in [woven(version), woven(version).knows_generations()] {
            let links: usize = dag.events.values().map(|event| event.auth_events.len()).sum();
            let outcome =
                dag.resolve(&[&with(&["w39-0", "w00-0"]), &with(&["w39-1", "w00-1"]), &with(&["w20-3"])]);
            let spent = outcome.resolution.spent;
            assert!(spent.events <= dag.events.len() as u64, "{spent:?}");
            assert!(spent.auth_edges <= links as u64, "{spent:?}");
        }
    }
}

/// An event in its own auth chain: impossible where ids are hashes, and a typed error where not.
///
/// ```text
/// one <- two <- three
///  +--------------^
/// ```
#[test]
fn a_cycle_in_the_auth_graph_is_a_typed_error() {
    for version in [RoomVersion::V2, RoomVersion::V12] {
        let mut dag = founded(version);
        dag.topic("one", ALICE, &["alice", "PL", "three"]);
        dag.topic("two", ALICE, &["alice", "PL", "one"]);
        dag.topic("three", ALICE, &["alice", "PL", "two"]);
        let states = [dag.state(&with(&["one"])), dag.state(&with(&["three"]))];
        let error = dag.try_resolve(&states, &ResolveBudget::UNLIMITED).unwrap_err();
        assert!(matches!(error, ResolveError::AuthCycle { .. }), "{error}");
        for (name, generation) in
            [("create", 0), ("alice", 1), ("PL", 2), ("one", 5), ("two", 6), ("three", 7)]
        {
            dag.generations.insert(format!("${name}"), generation);
        }
        let error = dag.try_resolve(&states, &ResolveBudget::UNLIMITED).unwrap_err();
        assert!(matches!(error, ResolveError::WrongGeneration { .. }), "{error}");
    }
}

/// A chain of power levels as long as a stranger likes must not end in a stack overflow.
#[test]
fn a_long_auth_chain_does_not_recurse() {
    let mut dag = founded(RoomVersion::V12);
    let mut before = "PL".to_owned();
    for number in 0..30_000 {
        let name = format!("P{number}");
        dag.levels(&name, ALICE, json!({}), &["alice", &before]);
        before = name;
    }
    let other = ["create", "alice", "PL", "JR", "bob", "charlie"];
    let one = ["create", "alice", "P29999", "JR", "bob", "charlie"];
    let outcome = dag.resolve(&[&one, &other]);
    assert_eq!(outcome.at("m.room.power_levels", ""), Some("P29999"));
    assert_eq!(outcome.power_order().len(), 30_001);
}

#[test]
fn each_line_of_the_budget_is_a_bound() {
    let dag = woven(RoomVersion::V12);
    let states = [dag.state(&with(&["w39-0"])), dag.state(&with(&["w39-1"]))];
    let unlimited = ResolveBudget::UNLIMITED;
    let spent = dag.try_resolve(&states, &unlimited).unwrap().spent;
    assert!(dag.try_resolve(&states, &spent).is_ok());
    for (line, budget) in [
        (BudgetLine::Events, ResolveBudget { events: spent.events - 1, ..unlimited }),
        (BudgetLine::AuthEdges, ResolveBudget { auth_edges: spent.auth_edges - 1, ..unlimited }),
        (BudgetLine::SortSteps, ResolveBudget { sort_steps: spent.sort_steps - 1, ..unlimited }),
        (BudgetLine::AuthChecks, ResolveBudget { auth_checks: spent.auth_checks - 1, ..unlimited }),
    ] {
        match dag.try_resolve(&states, &budget).unwrap_err() {
            ResolveError::OverBudget { line: over, .. } => assert_eq!(over, line),
            error => panic!("{line:?}: {error}"),
        }
    }
}
